"""Run a schedule on stages whose times are known."""

from __future__ import annotations

from collections.abc import Sequence

from partwise.errors import InputError, PlanError
from partwise.planning.schedule.record import Schedule
from partwise.planning.schedule.text import check_schedule
from partwise.planning.schedule.timeline import Timeline, advance
from partwise.planning.schedule.times import StageTimes

__all__ = ["simulate"]


def simulate(schedule: Schedule, times: Sequence[StageTimes]) -> Timeline:
    """When every task runs.

    Args:
        schedule: what runs in which order.
        times: of each of its stages.

    Raises:
        PlanError: a schedule that cannot run.
        InputError: times of another number of stages, or of forward tasks only.
    """
    if len(times) != len(schedule.stages):
        raise InputError("times", "are of another number of stages", expected=len(schedule.stages), got=len(times))
    if schedule.has_backward and any(stage.backward is None for stage in times):
        raise InputError("times", "do not say what backward tasks take")
    check_schedule(schedule)
    slots = advance(schedule, times)
    for stage, (ran, tasks) in enumerate(zip(slots, schedule.stages, strict=True)):
        if len(ran) < len(tasks):
            raise PlanError(f"stage {stage}", f"waits for ever before {tasks[len(ran)]}: stages wait for each other")
    return Timeline(schedule=schedule, stages=tuple(map(tuple, slots)))
