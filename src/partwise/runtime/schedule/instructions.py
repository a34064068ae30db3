"""What the schedule tells an executor: instructions, carried out in their order."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Abandon", "Answer", "Collect", "Compute", "Discard", "Divide", "Fetch", "GiveUp", "Instruction", "Load", "Ping",
    "Release", "Start", "Stop", "Unload", "Wake",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get the next request: `Offered` or `Ended` answers."""


@dataclass(frozen=True, slots=True)
class Start:
    """Bring a worker up; nothing answers until it loads something."""

    worker: int


@dataclass(frozen=True, slots=True)
class Load:
    """Make a stage ready on a worker: `Loaded`, `Refused` or `Lost` answers."""

    worker: int
    stage: int
    on_cpu: bool = False
    """On the CPU, whatever device it was meant for."""


@dataclass(frozen=True, slots=True)
class Unload:
    """A worker may forget a stage."""

    worker: int
    stage: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End a worker, however little it listens; nothing of it is believed from here on, and nothing answers."""

    worker: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask a worker for a sign of life: `Heard` answers, or nothing."""

    worker: int


@dataclass(frozen=True, slots=True)
class Compute:
    """Hand a task to a worker: all that it reads has been sent. `Finished` or `Failed` answers, under the ticket."""

    ticket: int
    """A new number for each attempt at a task."""
    request: int
    stage: int
    worker: int


@dataclass(frozen=True, slots=True)
class Discard:
    """A result came for a ticket that was given up: nobody will read it."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Collect:
    """Take the model's outputs that this stage returns, now: its memory may be released next."""

    request: int
    stage: int


@dataclass(frozen=True, slots=True)
class Release:
    """Nobody reads what this sender (a stage, or the caller) sent for a request any more."""

    request: int
    sender: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A request is done, and all its outputs were collected. Answers come in the order of the requests."""

    request: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A request cannot be computed; this stands in the place of its answer."""

    request: int
    worker: int | None
    """Whose failure was the last."""
    why: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """No worker can run a stage: the run ends."""

    stage: int
    worker: int | None
    """Whose failure was the last."""
    why: str


@dataclass(frozen=True, slots=True)
class Divide:
    """Cut a stage into smaller ones: `Divided` or `Indivisible` answers."""

    stage: int


@dataclass(frozen=True, slots=True)
class Wake:
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
