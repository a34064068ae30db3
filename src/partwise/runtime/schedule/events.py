"""What an executor tells the schedule: events, each of which has happened.

Time is an event too: an executor that was told to `Wake` answers with `Woke`, so the schedule needs no clock.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from partwise.runtime.route import Piece
from partwise.runtime.schedule.capacity import Capacity, Demand

__all__ = [
    "Divided", "Ended", "Event", "Failed", "Fault", "Finished", "Heard", "Indivisible", "Joined", "Loaded", "Lost",
    "Offered", "Refused", "Woke",
]  # fmt: skip


class Fault(StrEnum):
    """Why a task or a load failed, as far as it decides what to do next."""

    ERROR = "error"
    """The engine failed: another try, or another worker, may succeed."""
    MEMORY = "memory"
    """It did not fit."""
    MISSING = "missing"
    """The device, or the engine's library, is not there."""
    LIED = "lied"
    """The worker sent values that its stage cannot have made."""
    INPUTS = "inputs"
    """What it reads is gone, with the worker that sent it: nobody's fault."""
    FINAL = "final"
    """The request's or the package's own fault: no repetition helps."""


class Offered(msgspec.Struct, frozen=True):
    """A request's inputs are here. Requests of a stream are numbered from 0 without gaps."""

    request: int


class Ended(msgspec.Struct, frozen=True):
    """There are no more requests."""


class Joined(msgspec.Struct, frozen=True):
    """A worker is there that the schedule did not start: another host's."""

    worker: int
    capacity: Capacity = Capacity()


class Loaded(msgspec.Struct, frozen=True):
    """A worker has a stage ready."""

    worker: int
    stage: int


class Refused(msgspec.Struct, frozen=True):
    """A worker cannot load a stage."""

    worker: int
    stage: int
    fault: Fault
    why: str


class Finished(msgspec.Struct, frozen=True):
    """A task is computed, and its values can be read."""

    ticket: int
    seconds: float = 0.0
    """What the worker says it took; deadlines follow from it."""


class Failed(msgspec.Struct, frozen=True):
    """A task failed, and its worker lives."""

    ticket: int
    fault: Fault
    why: str


class Heard(msgspec.Struct, frozen=True):
    """A sign of life."""

    worker: int


class Lost(msgspec.Struct, frozen=True):
    """A worker is gone."""

    worker: int
    why: str


class Divided(msgspec.Struct, frozen=True):
    """A stage is cut into pieces: new stages, numbered from the number of all stages until now."""

    stage: int
    pieces: tuple[Piece, ...]
    demands: tuple[Demand, ...]
    """Of the pieces."""


class Indivisible(msgspec.Struct, frozen=True):
    """A stage cannot be cut any smaller."""

    stage: int
    why: str


class Woke(msgspec.Struct, frozen=True):
    """Time has passed."""

    elapsed_s: float
    """Since the last `Woke`, or since the beginning."""


Event = Offered | Ended | Joined | Loaded | Refused | Finished | Failed | Heard | Lost | Divided | Indivisible | Woke
