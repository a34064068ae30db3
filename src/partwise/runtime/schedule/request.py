"""One request on its way: which of its tasks can run, and which values are still wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from partwise.runtime.route import CALLER, Piece, Route

__all__ = ["Defeat", "Request", "State"]


class State(StrEnum):
    """Of a task."""

    WAITING = "waiting"
    """For values."""
    READY = "ready"
    """For a worker."""
    DELAYED = "delayed"
    """For its next attempt."""
    PARKED = "parked"
    """For its stage to be divided."""
    RUNNING = "running"
    DONE = "done"


_DONE = frozenset((State.DONE,))


class Defeat(msgspec.Struct, frozen=True):
    """Why a task came to nothing for good."""

    worker: int | None
    """Whose failure was the last."""
    why: str
    tried: tuple[int, ...] = ()
    """The workers of all failed attempts, in their order."""


@dataclass(slots=True)
class Request:
    """See the module."""

    route: Route
    """Its own: a stage that is divided later stays whole for requests that have passed it."""
    durable: bool
    """Whether values outlive the worker that sent them."""
    states: dict[int, State] = field(default_factory=dict[int, State])
    held: set[int] = field(default_factory=set[int])
    """Senders whose values can be read."""
    places: dict[int, int] = field(default_factory=dict[int, int])
    """The worker that computed each stage."""
    collected: set[int] = field(default_factory=set[int])
    attempts: dict[int, int] = field(default_factory=dict[int, int])
    deaths: dict[int, int] = field(default_factory=dict[int, int])
    failed_on: dict[int, set[int]] = field(default_factory=dict[int, set[int]])
    """Workers on which a task has failed."""
    tried: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    """By stage: the worker of each attempt that failed."""
    failures: dict[int, Defeat] = field(default_factory=dict[int, Defeat])
    """Of tasks that wait for their stage to be divided."""
    running: int = 0
    given_up: Defeat | None = None
    ended: bool = False
    """Whether all its memory was released."""

    def __post_init__(self) -> None:
        self.states = dict.fromkeys(self.route.active, State.WAITING)

    @property
    def all_done(self) -> bool:
        """Whether every stage is computed."""
        return list(self.states.values()).count(State.DONE) == len(self.states)

    def failed(self, stage: int, worker: int) -> None:
        """An attempt at a task came to nothing on a worker."""
        self.tried.setdefault(stage, []).append(worker)

    def defeat(self, stage: int, worker: int, why: str) -> Defeat:
        """What would be said of a task if it were given up now."""
        return Defeat(worker, why, tuple(self.tried.get(stage, ())))

    def has_inputs(self, stage: int) -> bool:
        """Whether all that a stage reads can be read."""
        return self.held.issuperset(self.route.received[stage])

    def deliver(self, sender: int) -> list[int]:
        """A sender's values are there; the stages that waited for nothing else, now ready."""
        if sender != CALLER or self.route.readers[CALLER]:
            self.held.add(sender)
        return self.wake(self.states if sender == CALLER else self.route.readers[sender])

    def wake(self, stages: Iterable[int]) -> list[int]:
        """Those of some stages that wait and can run; they are ready from here on."""
        states, received, held = self.states, self.route.received, self.held
        found = [s for s in stages if states[s] is State.WAITING and held.issuperset(received[s])]
        for stage in found:
            states[stage] = State.READY
        return found

    def unread(self, senders: Iterable[int]) -> list[int]:
        """Those senders whose values nobody wants any more; they are held no longer."""
        found = [s for s in senders if s in self.held and self._is_read(s)]
        self.held.difference_update(found)
        return found

    def end(self) -> list[int]:
        """All senders still held; nothing is held after."""
        self.ended, found = True, sorted(self.held)
        self.held.clear()
        return found

    def lose(self, worker: int) -> list[int]:
        """A worker is gone with its values: what must be computed again. Returns the stages that can be at once."""
        gone = {stage for stage in self.held if stage != CALLER and self.places.get(stage) == worker}
        self.held -= gone
        wanted = [s for s, state in self.states.items() if state is not State.DONE and state is not State.RUNNING]
        return self.want(wanted) if gone else []

    def want(self, stages: Sequence[int]) -> list[int]:
        """See that what some stages read is there or computed again; returns those that are newly ready."""
        pending, touched = list(stages), set[int]()
        while pending:
            stage = pending.pop()
            missing = [sender for sender in self.route.received[stage] if sender not in self.held]
            if missing and self.states[stage] is State.READY:
                self.states[stage] = State.WAITING
            touched.add(stage)
            for sender in missing:
                if self.states.get(sender) is State.DONE:
                    self.states[sender] = State.WAITING
                    pending.append(sender)
        return self.wake(sorted(touched))

    def divide(self, stage: int, first: int, pieces: Sequence[Piece]) -> None:
        """Take pieces in the place of a stage that is not done."""
        self.route = self.route.divided(stage, first, pieces)
        del self.states[stage]
        self.states.update(dict.fromkeys(range(first, first + len(pieces)), State.WAITING))

    def _is_read(self, sender: int) -> bool:
        if sender == CALLER and not self.durable:
            return False  # with the inputs, everything can be computed again
        return {self.states[reader] for reader in self.route.readers[sender]} <= _DONE
