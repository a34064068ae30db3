"""What every schedule keeps: all faults, each with its place in the grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from partwise.planning.schedule.record import Pass, Schedule, Task
from partwise.planning.schedule.timeline import advance
from partwise.planning.schedule.times import even_times

__all__ = ["Fault", "faults"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong."""

    stage: int
    position: int
    """Of the task in its stage's order; one after the last where a task is missing."""
    what: str


def faults(schedule: Schedule) -> list[Fault]:
    """Everything wrong with a schedule: numbers, tasks that are missing or too many, tasks that wait for ever."""
    if schedule.microbatches < 1 or not schedule.stages:
        return [Fault(stage=0, position=0, what="there is no stage or no microbatch")]
    if schedule.in_flight is not None and schedule.in_flight < 1:
        return [Fault(stage=0, position=0, what="no microbatch may be under way")]
    found = [fault for stage in range(len(schedule.stages)) for fault in _row(schedule, stage)]
    return found or list(_stuck(schedule))


def _row(schedule: Schedule, stage: int) -> Iterator[Fault]:
    """Tasks that are twice there, have no such microbatch, or come before what they answer."""
    seen: set[Task] = set()
    tasks = schedule.stages[stage]
    for position, task in enumerate(tasks):
        if task in seen:
            yield Fault(stage=stage, position=position, what=f"stage {stage} runs {task} twice")
        elif task.microbatch >= schedule.microbatches:
            many = f"there are {schedule.microbatches} microbatches"
            yield Fault(stage=stage, position=position, what=f"stage {stage} runs {task}, and {many}")
        elif task.way is Pass.BACKWARD and Task(microbatch=task.microbatch) not in seen:
            yield Fault(stage=stage, position=position, what=f"stage {stage} runs {task} before F{task.microbatch}")
        seen.add(task)
    ways = Pass if schedule.has_backward else (Pass.FORWARD,)
    for way in ways:
        held = {task.microbatch for task in seen if task.way is way}
        missing = next((number for number in range(schedule.microbatches) if number not in held), None)
        if missing is not None:
            yield Fault(stage=stage, position=len(tasks), what=f"stage {stage} never runs {way}{missing}")


def _stuck(schedule: Schedule) -> Iterator[Fault]:
    """The next task of each stage that waits for ever, where each stage waits for the one before it."""
    run = advance(schedule, even_times(len(schedule.stages), backward=schedule.has_backward))
    for stage, (tasks, slots) in enumerate(zip(schedule.stages, run, strict=True)):
        if len(slots) < len(tasks):
            what = f"stage {stage} waits for ever before {tasks[len(slots)]}: no order of all stages keeps the rows"
            yield Fault(stage=stage, position=len(slots), what=what)
