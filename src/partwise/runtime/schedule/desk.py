"""What the schedule knows: its record of stages, workers, tasks and time, and the words for what cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from partwise.errors import RunError
from partwise.runtime.route import Piece, Route
from partwise.runtime.schedule.capacity import Capacity, Demand
from partwise.runtime.schedule.events import Event
from partwise.runtime.schedule.policy import Policy
from partwise.runtime.schedule.roster import Member, Roster
from partwise.runtime.schedule.story import Incident, Story, told
from partwise.runtime.schedule.stream import Key, Stream

__all__ = ["Desk", "Task"]


class Task(msgspec.Struct, frozen=True):
    """One attempt at a task."""

    request: int
    stage: int
    worker: int


class Desk:
    """The state that the schedule's rules share. The rules stand in layers over it, each using those below:
    loading, dividing, repeating, supervising, and the schedule itself."""

    def __init__(
        self,
        route: Route,
        *,
        workers: int | Sequence[Capacity] | Mapping[int, Capacity] | None = None,
        own: bool = True,
        demands: Sequence[Demand] | None = None,
        in_flight: int = 1,
        queue: int = 1,
        policy: Policy | None = None,
        supervised: bool = False,
        durable: bool = True,
        resident: bool = True,
        remembered: int | None = 512,
    ) -> None:
        """A schedule that has not begun.

        Args:
            route: the stages and what they send each other.
            workers: how many it may start, or what each of them takes (by number if it is a mapping); by default one a
                stage. 0: all will join.
            own: the schedule may start these workers; otherwise they are up, and come back by themselves.
            demands: what each stage needs; by default nothing, and equal work.
            in_flight: requests between `Offered` and `Answer` at most.
            queue: tasks that a worker has at most: the one it computes, and the next beside it.
            policy: what is done when something fails.
            supervised: ask the workers for signs of life and keep deadlines.
            durable: values outlive the worker that sent them, as in shared memory that the caller holds. Where they
                do not, what a lost worker sent is computed again.
            resident: a stage takes room as long as a worker has it. Otherwise only while it is computed, as a proof
                does, whose keys are read for each: then every worker has every stage that fits it.
            remembered: steps that the story keeps; None: all.
        """
        self.route: Route = route
        self.policy: Policy = policy or Policy()
        self.story: Story = Story(remembered)
        self._demands: list[Demand] = list(demands or [Demand()] * route.stages)
        count = route.stages if workers is None else workers
        given = [Capacity()] * count if isinstance(count, int) else count
        capacities = given if isinstance(given, Mapping) else dict(enumerate(given))
        self.roster = Roster(queue, resident)
        for number, capacity in capacities.items():
            self.roster.members[number] = Member(number, capacity, own=own)
        self._in_flight: int = in_flight
        self._durable: bool = durable
        self._supervised: bool = supervised
        self._stream: Stream | None = None
        self._tasks: dict[int, Task] = {}
        self._tickets: int = 0
        self._now_s: float = 0.0
        self._wake_s: float | None = None
        self._delayed: dict[Key, float] = {}
        self._longest_s: dict[int, float] = {}
        self._dividing: set[int] = set()
        self._divisions: dict[int, tuple[int, tuple[Piece, ...]]] = {}
        self._indivisible: dict[int, str] = {}
        self._refusals: dict[int, set[int]] = {}

    @property
    def done(self) -> bool:
        """Whether the stream is answered to its end, or none was begun."""
        return self._stream is None or self._stream.done

    def _member(self, worker: int, event: Event) -> Member:
        if worker not in self.roster.members:
            raise self._impossible(event, "is of no worker of this run", worker=worker)
        return self.roster.members[worker]

    def _open_stream(self, event: Event) -> Stream:
        if self._stream is None:
            raise self._impossible(event, "came before any stream")
        return self._stream

    def _note(self, what: str, task: Task, why: str) -> None:
        self._incident(what, worker=task.worker, stage=task.stage, request=task.request, why=why)

    def _incident(self, what: str, **fields: int | str | None) -> None:
        self.story.note(Incident(what=what, **fields))  # pyright: ignore[reportArgumentType]

    def _impossible(self, event: Event, what: str, **about: int) -> RunError:
        return RunError(told(event), what, hint=f"what happened before: {self.story.about(**about)}.")
