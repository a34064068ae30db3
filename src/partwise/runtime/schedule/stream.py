"""The requests of a stream: offered, computed stage by stage, answered in their order.

It decides what can run and what memory is free; who runs it is the schedule's affair.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from partwise.errors import RunError
from partwise.runtime.route import CALLER, Piece, Route
from partwise.runtime.schedule.instructions import Answer, Collect, Fetch, GiveUp, Instruction, Release
from partwise.runtime.schedule.request import Defeat, Request, State

__all__ = ["Key", "Stream"]

Key = tuple[int, int]
"""A task: (request, stage)."""


class Stream:
    """See the module."""

    def __init__(self, *, in_flight: int, durable: bool) -> None:
        self.requests: dict[int, Request] = {}
        self._in_flight, self._durable = in_flight, durable
        self._ready: list[Key] = []
        self._offered: int = 0
        self._answered: int = 0
        self._fetching, self._ended = False, False

    @property
    def done(self) -> bool:
        """Whether every request that came was answered, and no more will come."""
        return self._ended and not self.requests

    def offer(self, request: int, route: Route) -> None:
        """A request has come."""
        if not self._fetching or request != self._offered:
            raise RunError(f"request {request}", "was not asked for", expected=self._offered)
        self._fetching, self._offered = False, request + 1
        self.requests[request] = Request(route, self._durable)
        self.deliver(request, CALLER)

    def end(self) -> None:
        """No more will come."""
        if not self._fetching:
            raise RunError("the stream", "ended without being asked for its next request")
        self._fetching, self._ended = False, True

    def deliver(self, request: int, sender: int) -> None:
        """A sender's values are there."""
        self._push(request, self.requests[request].deliver(sender))

    def finish(self, request: int, stage: int, worker: int) -> list[Instruction]:
        """A task is computed: what its values set free."""
        known = self.requests[request]
        known.states[stage], known.places[stage] = State.DONE, worker
        known.running -= 1
        found = list[Instruction]()
        if known.given_up is None and known.route.returned[stage] and stage not in known.collected:
            known.collected.add(stage)
            found.append(Collect(request, stage))
        self.deliver(request, stage)
        found += self._release(request, (*known.route.received[stage], stage))
        return [*found, *self._end(request)]

    def retry(self, request: int, stage: int, *, after: State = State.WAITING) -> None:
        """A running task came to nothing: once more, at once or after something."""
        known = self.requests[request]
        known.states[stage] = after
        known.running -= 1
        if after is State.WAITING:
            self._push(request, known.want([stage]))

    def resume(self, keys: Iterable[Key]) -> None:
        """Tasks have waited long enough for their next attempt."""
        for request, stage in keys:
            known = self.requests.get(request)
            if known is not None and known.states.get(stage) in (State.DELAYED, State.PARKED):
                known.states[stage] = State.WAITING
                self._push(request, known.want([stage]))

    def lose(self, worker: int) -> None:
        """A worker is gone with the values that it sent."""
        for request, known in self.requests.items():
            self._push(request, known.lose(worker))

    def give_up(self, request: int, defeat: Defeat) -> list[Instruction]:
        """A request cannot be computed."""
        known = self.requests[request]
        if known.given_up is None:
            known.given_up = defeat
        return self._end(request)

    def divide(self, request: int, stage: int, first: int, pieces: Sequence[Piece]) -> list[Instruction]:
        """A request takes pieces in the place of a stage."""
        known = self.requests[request]
        known.divide(stage, first, pieces)
        self._push(request, known.want(range(first, first + len(pieces))))
        return self._release(request, sorted(known.held))

    def undone(self, stage: int) -> list[int]:
        """The requests that have a stage still before them, and not under way."""
        past = (None, State.DONE, State.RUNNING)
        return [n for n, known in self.requests.items() if known.states.get(stage) not in past]

    def ready(self) -> Iterator[Key]:
        """The tasks that can run, first requests first; each stays ready unless it is taken."""
        kept, heap = dict[Key, None](), self._ready
        while heap:
            key = heapq.heappop(heap)
            known = self.requests.get(key[0])
            if known is not None and known.given_up is None and known.states.get(key[1]) is State.READY:
                yield key
                if known.states[key[1]] is State.READY:
                    kept[key] = None
        for key in kept:
            heapq.heappush(heap, key)

    def take(self, request: int, stage: int) -> None:
        """A ready task is handed to a worker."""
        known = self.requests[request]
        known.states[stage] = State.RUNNING
        known.running += 1

    def answers(self) -> list[Instruction]:
        """Of the requests that have ended, in their order."""
        found = list[Instruction]()
        while (known := self.requests.get(self._answered)) is not None and known.ended:
            del self.requests[self._answered]
            number, end = self._answered, known.given_up
            found.append(Answer(number) if end is None else GiveUp(number, end.worker, end.why, end.tried))
            self._answered += 1
        return found

    def fetch(self) -> list[Instruction]:
        """Ask for the next request while there is room for it."""
        if self._fetching or self._ended or len(self.requests) >= self._in_flight:
            return []
        self._fetching = True
        return [Fetch()]

    def _push(self, request: int, stages: Iterable[int]) -> None:
        for stage in stages:
            heapq.heappush(self._ready, (request, stage))

    def _release(self, request: int, senders: Iterable[int]) -> list[Instruction]:
        return [Release(request, sender) for sender in self.requests[request].unread(senders)]

    def _end(self, request: int) -> list[Instruction]:
        """Release what is left of a request that is computed, or given up and no longer under way."""
        known = self.requests[request]
        if known.ended or known.running or not (known.all_done or known.given_up):
            return []
        return [Release(request, sender) for sender in known.end()]
