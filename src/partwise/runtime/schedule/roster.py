"""The workers as the schedule sees them: what each holds, how it fares, and who may take a task."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from partwise.runtime.schedule.capacity import Capacity, Demand, has_room
from partwise.runtime.schedule.policy import Policy

__all__ = ["Member", "Roster"]


@dataclass(slots=True)
class Member:
    """A worker. Times are those of the schedule, which runs on events."""

    number: int
    capacity: Capacity
    own: bool
    """Whether the schedule may start it; others come by themselves."""
    up: bool = False
    assigned: set[int] = field(default_factory=set[int])
    on_cpu: set[int] = field(default_factory=set[int])
    loading: dict[int, float] = field(default_factory=dict[int, float])
    """Since when."""
    loaded: set[int] = field(default_factory=set[int])
    running: list[int] = field(default_factory=list[int])
    """Tickets in the order in which they were given: it computes the first, the others wait beside it."""
    began_s: float = 0.0
    """When its first ticket became the first."""
    heard_s: float = 0.0
    share: float = 1.0
    in_a_row: int = 0
    """Failures since its last success."""
    excluded_until_s: float | None = None

    @property
    def available(self) -> bool:
        """Whether it may be given tasks."""
        return self.up and self.excluded_until_s is None

    def drop(self, ticket: int, now_s: float) -> None:
        """A ticket is no longer with it."""
        if self.running[0] == ticket:
            self.began_s = now_s
        self.running.remove(ticket)
        self.heard_s = now_s

    def fall(self) -> list[int]:
        """It is gone, with all that it held; returns the tickets it had."""
        tickets, self.running = self.running, []
        self.up = False
        self.loading.clear()
        self.loaded.clear()
        return tickets

    def succeed(self, policy: Policy) -> None:
        """It has done something right."""
        self.in_a_row, self.share = 0, min(1.0, self.share / policy.lowered)

    def fail(self, policy: Policy, now_s: float) -> bool:
        """It has failed; whether it is excluded for that."""
        self.in_a_row, self.share = self.in_a_row + 1, max(policy.least_share, self.share * policy.lowered)
        excluded = self.in_a_row >= policy.exclude_after
        if excluded:
            self.excluded_until_s = now_s + policy.exclude_s
        return excluded

    def forgive(self, policy: Policy) -> None:
        """One of its failures was not its own."""
        self.in_a_row, self.share = max(0, self.in_a_row - 1), min(1.0, self.share / policy.lowered)
        if self.up and self.in_a_row < policy.exclude_after:
            self.excluded_until_s = None


@dataclass(slots=True)
class Roster:
    """All workers."""

    queue: int
    """Tasks that a worker has at most: those that it computes, and the next beside them."""
    resident: bool = True
    """Whether a stage takes room as long as a worker has it, and not only while it is computed."""
    members: dict[int, Member] = field(default_factory=dict[int, Member])

    def holders(self, stage: int) -> list[Member]:
        """The workers that a stage is assigned to."""
        return [member for member in self.members.values() if stage in member.assigned]

    def choose(self, stage: int, avoided: set[int], *, elsewhere: bool = False) -> Member | None:
        """The worker that takes a task of a stage: the least busy for its share; rather none that failed it.

        Args:
            stage: its number.
            avoided: the workers that failed it.
            elsewhere: whether it waits for another worker as long as there is one, however busy.
        """
        free = [
            member
            for member in self.members.values()
            if stage in member.loaded
            and member.excluded_until_s is None
            and len(member.running) < max(1, int(self.queue * member.share))
        ]
        if elsewhere and any(m.available and m.number not in avoided for m in self.holders(stage)):
            free = [member for member in free if member.number not in avoided]
        if len(free) < 2:
            return free[0] if free else None
        return min(free, key=lambda m: (m.number in avoided, (len(m.running) + 1) / m.share, m.number))

    def with_room(
        self, stage: int, demands: Sequence[Demand], avoided: Collection[int] = (), apart: Iterable[int] = ()
    ) -> Member | None:
        """The available worker with the least work that can hold one more stage.

        Args:
            stage: its number.
            demands: of all stages.
            avoided: workers that are out of the question.
            apart: stages that it had better not share a worker with.
        """
        siblings = set(apart)
        fitting = [
            member
            for member in self.members.values()
            if member.available
            and member.number not in avoided
            and stage not in member.assigned
            and self.has_room(member, stage, demands)
        ]

        def burden(member: Member) -> tuple[int, float, int]:
            work = sum(demands[number].work for number in member.assigned)
            return len(siblings & member.assigned), work, member.number

        return min(fitting, key=burden, default=None)

    def has_room(self, member: Member, stage: int, demands: Sequence[Demand]) -> bool:
        """Whether a worker can take one more stage."""
        return has_room(member.capacity, member.assigned if self.resident else (), stage, demands)

    def all_failing(self, stage: int, limit: int) -> bool:
        """Whether everyone that a stage is assigned to has failed so often in a row."""
        holders = self.holders(stage)
        return bool(holders) and all(member.in_a_row >= limit for member in holders)
