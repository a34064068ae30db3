"""What the schedule tells an executor: instructions, carried out in their order."""

from __future__ import annotations

import msgspec

__all__ = [
    "Abandon", "Answer", "Collect", "Compute", "Discard", "Divide", "Fetch", "GiveUp", "Instruction", "Load", "Ping",
    "Release", "Start", "Stop", "Unload", "Wake",
]  # fmt: skip


class Fetch(msgspec.Struct, frozen=True):
    """Get the next request: `Offered` or `Ended` answers."""


class Start(msgspec.Struct, frozen=True):
    """Bring a worker up; nothing answers until it loads something."""

    worker: int


class Load(msgspec.Struct, frozen=True):
    """Make a stage ready on a worker: `Loaded`, `Refused` or `Lost` answers."""

    worker: int
    stage: int
    on_cpu: bool = False
    """On the CPU, whatever device it was meant for."""


class Unload(msgspec.Struct, frozen=True):
    """A worker may forget a stage."""

    worker: int
    stage: int


class Stop(msgspec.Struct, frozen=True):
    """End a worker, however little it listens; nothing of it is believed from here on, and nothing answers."""

    worker: int


class Ping(msgspec.Struct, frozen=True):
    """Ask a worker for a sign of life: `Heard` answers, or nothing."""

    worker: int


class Compute(msgspec.Struct, frozen=True):
    """Hand a task to a worker: all that it reads has been sent. `Finished` or `Failed` answers, under the ticket."""

    ticket: int
    """A new number for each attempt at a task."""
    request: int
    stage: int
    worker: int


class Discard(msgspec.Struct, frozen=True):
    """A result came for a ticket that was given up: nobody will read it."""

    ticket: int


class Collect(msgspec.Struct, frozen=True):
    """Take the model's outputs that this stage returns, now: its memory may be released next."""

    request: int
    stage: int


class Release(msgspec.Struct, frozen=True):
    """Nobody reads what this sender (a stage, or the caller) sent for a request any more."""

    request: int
    sender: int


class Answer(msgspec.Struct, frozen=True):
    """A request is done, and all its outputs were collected. Answers come in the order of the requests."""

    request: int


class GiveUp(msgspec.Struct, frozen=True):
    """A request cannot be computed; this stands in the place of its answer."""

    request: int
    worker: int | None
    """Whose failure was the last."""
    why: str
    tried: tuple[int, ...] = ()
    """The workers of all attempts that failed, in their order; none where repeating could not help."""


class Abandon(msgspec.Struct, frozen=True):
    """No worker can run a stage: the run ends."""

    stage: int
    worker: int | None
    """Whose failure was the last."""
    why: str
    tried: tuple[int, ...] = ()
    """As with `GiveUp`: a worker once for each of its failures in a row."""


class Divide(msgspec.Struct, frozen=True):
    """Cut a stage into smaller ones: `Divided` or `Indivisible` answers."""

    stage: int


class Wake(msgspec.Struct, frozen=True):
    """Say `Woke` after this time at the latest. Only the soonest counts."""

    after_s: float


Instruction = (
    Fetch
    | Start
    | Load
    | Unload
    | Stop
    | Ping
    | Compute
    | Discard
    | Collect
    | Release
    | Answer
    | GiveUp
    | Abandon
    | Divide
    | Wake
)
