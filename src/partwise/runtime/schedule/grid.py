"""A schedule that ran, as a grid of stages and steps: what a person looks at when something went wrong.

    stage      0         1
               01234567890123
    0          00111..222333.
    1          ..0x0011..2..3
                  !

A column is an event; a digit is the last of the request that a stage computes then, `+` several, `.` none, `x` one
that has just come to nothing. Below, `!` marks a worker that was lost or ended, `/` a stage that was divided.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from partwise.runtime.schedule.events import Divided, Event, Failed, Finished, Lost
from partwise.runtime.schedule.instructions import Compute, Instruction, Stop
from partwise.runtime.schedule.story import Step

__all__ = ["format_grid"]

_LABEL = 11
_STEPS = 80
"""Columns of one row; longer schedules go on below."""


@dataclass(slots=True)
class _Board:
    """Who computes what at one step."""

    running: dict[int, Compute] = field(default_factory=dict[int, Compute])
    failed: set[int] = field(default_factory=set[int])
    mark: str = " "

    def see(self, event: Event | None, instructions: Iterable[Instruction]) -> None:
        self.failed, self.mark = set(), " "
        match event:
            case Finished(ticket):
                self.running.pop(ticket, None)
            case Failed(ticket) if ticket in self.running:
                self.failed.add(self.running.pop(ticket).stage)
            case Lost(worker):
                self._end(worker)
            case Divided():
                self.mark = "/"
            case _:
                pass
        for instruction in instructions:
            if isinstance(instruction, Compute):
                self.running[instruction.ticket] = instruction
            elif isinstance(instruction, Stop):
                self._end(instruction.worker)

    def _end(self, worker: int) -> None:
        self.mark = "!"
        gone = {ticket: task for ticket, task in self.running.items() if task.worker == worker}
        self.failed |= {task.stage for task in gone.values()}
        self.running = {ticket: task for ticket, task in self.running.items() if ticket not in gone}

    def cell(self, stage: int) -> str:
        """Of a stage, at this step."""
        requests = [task.request for task in self.running.values() if task.stage == stage]
        if stage in self.failed:
            return "x"
        return "." if not requests else str(requests[0] % 10) if len(requests) == 1 else "+"


def format_grid(steps: Iterable[Step]) -> str:
    """The steps of a story, as text of at most 100 columns.

    Args:
        steps: `schedule.story.steps`; only those that somebody computes in, or something happens in, are shown.
    """
    board, columns, stages = _Board(), list[dict[int, str]](), set[int]()
    for step in steps:
        board.see(step.event, step.instructions)
        stages |= {task.stage for task in board.running.values()} | board.failed
        if board.running or board.failed or board.mark != " ":
            columns.append({stage: board.cell(stage) for stage in stages} | {-1: board.mark})
    parts = [_part(sorted(stages), start, columns[start : start + _STEPS]) for start in range(0, len(columns), _STEPS)]
    return "\n\n".join(parts)


def _part(stages: list[int], start: int, columns: list[dict[int, str]]) -> str:
    numbers = range(start, start + len(columns))
    lines = [
        f"{'stage':{_LABEL}}" + "".join(str(number // 10 % 10) if number % 10 == 0 else " " for number in numbers),
        " " * _LABEL + "".join(str(number % 10) for number in numbers),
        *(f"{stage:<{_LABEL}}" + "".join(column.get(stage, ".") for column in columns) for stage in stages),
        " " * _LABEL + "".join(column[-1] for column in columns),
    ]
    return "\n".join(line.rstrip() for line in lines).rstrip()
