"""What happened, in few words: the story of a task or a worker, for errors, records and people."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from partwise.runtime.schedule.events import Event
from partwise.runtime.schedule.instructions import Instruction

__all__ = ["Incident", "Step", "Story", "told"]

_REMEMBERED = 512
_INCIDENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that went wrong, and what was done about it. It holds no times."""

    what: str
    """`lost`, `silent`, `overdue`, `failed`, `refused`, `excluded`, `divided`, `on cpu`, `given up`."""
    worker: int | None = None
    stage: int | None = None
    request: int | None = None
    why: str = ""

    def __str__(self) -> str:
        about = ((n, getattr(self, n)) for n in ("worker", "stage", "request"))
        where = ", ".join(f"{name} {number}" for name, number in about if number is not None)
        return f"{self.what} ({where})" + (f": {self.why}" if self.why else "")


class Step(msgspec.Struct, frozen=True):
    """One event and the instructions that followed."""

    event: Event | None
    """None: the beginning."""
    instructions: tuple[Instruction, ...]


class Story:
    """The last steps, and all incidents up to a thousand: a long stream takes no more memory than a short one."""

    def __init__(self, remembered: int | None = _REMEMBERED) -> None:
        self.steps: deque[Step] = deque(maxlen=remembered)
        self.incidents = list[Incident]()
        self.on_note: Callable[[Incident], None] = lambda incident: None  # noqa: ARG005
        """Told of each incident."""

    def add(self, event: Event | None, instructions: list[Instruction]) -> None:
        """One step more."""
        self.steps.append(Step(event, tuple(instructions)))

    def note(self, incident: Incident) -> None:
        """One incident more."""
        self.on_note(incident)
        if len(self.incidents) < _INCIDENTS:
            self.incidents.append(incident)

    def about(self, **fields: int) -> str:
        """The remembered events and instructions that have all these fields, in words, oldest first."""
        both = [item for step in self.steps for item in (step.event, *step.instructions) if item is not None]
        found = [told(item) for item in both if all(getattr(item, k, None) == v for k, v in fields.items())]
        return ", ".join(found[-12:]) or "nothing is remembered"


def told(item: Event | Instruction) -> str:
    """An event or instruction in words: `Compute 4 (request 2, stage 0, worker 1)`."""
    fields = {name: getattr(item, name) for name in item.__struct_fields__ if name not in ("pieces", "demands", "why")}
    inner = ", ".join(f"{name} {value}" for name, value in fields.items())
    return type(item).__name__ + (f"({inner})" if inner else "")
