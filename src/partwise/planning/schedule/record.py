"""A schedule as plain data: for each stage its tasks in their order, and how many microbatches may be under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from partwise.errors import InputError

__all__ = ["Pass", "Schedule", "ScheduleKind", "Task", "make_schedule"]


class Pass(StrEnum):
    """Which way values go; the letter that a task is written with."""

    FORWARD = "F"
    BACKWARD = "B"


class ScheduleKind(StrEnum):
    """Schedules that can be made for any number of stages and microbatches."""

    GPIPE = "gpipe"
    """All forward tasks, then all backward tasks. **Source**: Huang et al., arXiv 1811.06965, figure 2c."""
    ONE_IN_FLIGHT = "one-in-flight"
    """A microbatch enters when the one before it has left: what a pipeline with no overlap does."""
    ONE_F_ONE_B = "1f1b"
    """Each stage runs as many forward tasks as there are stages after it, then a forward and a backward one in turn.
    **Source**: Narayanan et al., PipeDream-Flush, arXiv 2006.09503, figure 2c."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Task:
    """One stage applied to one microbatch, in one direction; the stage is where the task stands."""

    way: Pass = Pass.FORWARD
    microbatch: int

    def __str__(self) -> str:
        return f"{self.way}{self.microbatch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What runs in which order. A task runs when its stage has ended the task before it, and its values are there."""

    name: str
    """Of a `ScheduleKind`, or of whoever made it."""
    microbatches: int
    stages: tuple[tuple[Task, ...], ...]
    """For each stage its tasks in their order."""
    in_flight: int | None = None
    """Microbatch i enters when microbatch i − `in_flight` has left; None: when the first stage is free."""

    @property
    def has_backward(self) -> bool:
        """Whether gradients go back: a training step."""
        return any(task.way is Pass.BACKWARD for tasks in self.stages for task in tasks)


def make_schedule(kind: ScheduleKind, stages: int, microbatches: int, *, backward: bool = False) -> Schedule:
    """A schedule of one of the known kinds.

    Args:
        kind: which.
        stages: how many, at least 1.
        microbatches: how many, at least 1.
        backward: whether it is a training step; `1f1b` always is.

    Raises:
        InputError: less than one stage or microbatch, or `1f1b` without backward tasks.
    """
    for name, count in (("stages", stages), ("microbatches", microbatches)):
        if count < 1:
            raise InputError(name, "must be at least 1", got=count)
    if kind is ScheduleKind.ONE_F_ONE_B and not backward:
        raise InputError("schedule `1f1b`", "interleaves backward tasks, and there are none", hint="use `gpipe`.")
    rows = tuple(tuple(_row(kind, stages - 1 - stage, microbatches, backward)) for stage in range(stages))
    in_flight = 1 if kind is ScheduleKind.ONE_IN_FLIGHT else None
    return Schedule(name=kind.value, microbatches=microbatches, stages=rows, in_flight=in_flight)


def _row(kind: ScheduleKind, after: int, microbatches: int, backward: bool) -> Iterator[Task]:
    """The tasks of a stage with so many stages after it."""
    forward = [Task(microbatch=number) for number in range(microbatches)]
    back = [Task(way=Pass.BACKWARD, microbatch=number) for number in range(microbatches)] if backward else []
    match kind:
        case ScheduleKind.GPIPE:
            yield from (*forward, *back)
        case ScheduleKind.ONE_IN_FLIGHT:
            for number, task in enumerate(forward):
                yield from (task, *back[number : number + 1])
        case ScheduleKind.ONE_F_ONE_B:
            warm = min(after, microbatches)
            yield from forward[:warm]
            for task, answer in zip(forward[warm:], back, strict=False):
                yield from (task, answer)
            yield from back[microbatches - warm :]
