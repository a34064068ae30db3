"""When every task of a schedule runs, found by running them: stages one task at a time, values, and who may enter.

Nothing here knows a formula; `formula` and this must agree, and a test says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from partwise.planning.schedule.record import Pass, Schedule, Task
from partwise.planning.schedule.times import PassTimes, StageTimes

__all__ = ["Slot", "Timeline", "advance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A task's time on its stage, receiving and sending included [s]."""

    task: Task
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """When every task runs."""

    schedule: Schedule
    stages: tuple[tuple[Slot, ...], ...]

    @property
    def makespan_s(self) -> float:
        """From the first task's start to the last one's end."""
        return max((slots[-1].end_s for slots in self.stages if slots), default=0.0)

    @property
    def bubble(self) -> float:
        """Share of the stages' time in which they do nothing, from 0 to 1."""
        busy = sum(slot.end_s - slot.start_s for slots in self.stages for slot in slots)
        whole = self.makespan_s * len(self.stages)
        return 1 - busy / whole if whole else 0.0

    @property
    def most_in_flight(self) -> int:
        """The most microbatches that are under way at once."""
        spans: dict[int, tuple[float, float]] = {}
        for slot in (slot for slots in self.stages for slot in slots):
            first, last = spans.get(slot.task.microbatch, (slot.start_s, slot.end_s))
            spans[slot.task.microbatch] = min(first, slot.start_s), max(last, slot.end_s)
        events = sorted([(end, -1) for _, end in spans.values()] + [(start, 1) for start, _ in spans.values()])
        under_way = most = 0
        for _, change in events:
            under_way += change
            most = max(most, under_way)
        return most


def advance(schedule: Schedule, times: Sequence[StageTimes]) -> list[list[Slot]]:
    """The tasks of each stage that ever run; where two stages wait for each other, the rest is missing."""
    run = _Run(schedule, times)
    moved = True
    while moved:
        moved = False
        for stage in range(len(schedule.stages)):
            while run.step(stage):
                moved = True
    return run.slots


class _Run:
    """The state of the stages between tasks."""

    def __init__(self, schedule: Schedule, times: Sequence[StageTimes]) -> None:
        self.schedule, self.times = schedule, times
        self.slots: list[list[Slot]] = [[] for _ in schedule.stages]
        self._ends: dict[tuple[int, Task], float] = {}
        self._left: dict[int, int] = {}
        for task in (task for tasks in schedule.stages for task in tasks):
            self._left[task.microbatch] = self._left.get(task.microbatch, 0) + 1
        self._gone: dict[int, float] = {}
        self._last_end: dict[int, float] = {}

    def step(self, stage: int) -> bool:
        """Run the stage's next task, if there is one and all that it waits for has happened."""
        done, tasks = self.slots[stage], self.schedule.stages[stage]
        if len(done) == len(tasks):
            return False
        task = tasks[len(done)]
        start = self._start(stage, task)
        if start is None:
            return False
        end = start + self._times(stage, task).load_s
        done.append(Slot(task=task, start_s=start, end_s=end))
        self._ends[stage, task] = end
        self._leave(task.microbatch, end)
        return True

    def _times(self, stage: int, task: Task) -> PassTimes:
        times = self.times[stage]
        return times.forward if task.way is Pass.FORWARD else times.backward or times.forward

    def _start(self, stage: int, task: Task) -> float | None:
        """The earliest time; None: something that it waits for has not happened yet."""
        done = self.slots[stage]
        found = [done[-1].end_s if done else 0.0]
        limit = self.schedule.in_flight
        if limit is not None and task.microbatch >= limit:
            if task.microbatch - limit not in self._gone:
                return None
            found.append(self._gone[task.microbatch - limit])
        if task.way is Pass.BACKWARD and (stage, Task(microbatch=task.microbatch)) not in self._ends:
            return None
        taken = 0.0
        for sender, seconds in self._times(stage, task).receive_s.items():
            if (sender, task) not in self._ends:
                return None
            taken += seconds
            found.append(self._ends[sender, task] - taken)  # then it is all here when the sender has sent it
        return max(found)

    def _leave(self, microbatch: int, end: float) -> None:
        self._left[microbatch] -= 1
        self._last_end[microbatch] = max(end, self._last_end.get(microbatch, 0.0))
        if not self._left[microbatch]:
            self._gone[microbatch] = self._last_end[microbatch]
