"""Which task runs when: a state machine that knows no clock, no process and no tensor.

An event goes in, instructions come out; an executor obeys them and reports what happened as the next event.

    event                       instructions that may follow
    ─────────────────────────   ──────────────────────────────────────────────────────────────────
    (begin)                     Fetch
    Offered(request)            Compute for each stage that needs model inputs alone · Fetch
    Ended                       none: no more requests will come
    Finished(request, stage)    Collect · Release · Compute · Answer · Fetch

A request is one run of the model; a task is one stage applied to one request. Every `Fetch` is answered by one
`Offered` or one `Ended`. At most `in_flight` requests are between `Offered` and `Answer`, so memory is bounded
however long the stream; at most `queue` tasks are handed to a stage at once, so a stage that ends one finds
the next beside it. Stages take tasks in the order of their requests.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from partwise.errors import RunError
from partwise.runtime.route import CALLER, Route

__all__ = [
    "Answer", "Collect", "Compute", "Ended", "Event", "Fetch", "Finished", "Instruction", "Offered", "Release",
    "Schedule",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offered:
    """A request's inputs are here. Requests are numbered from 0 without gaps."""

    request: int


@dataclass(frozen=True, slots=True)
class Ended:
    """There are no more requests."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A stage has computed its outputs for a request."""

    request: int
    stage: int


Event = Offered | Ended | Finished


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get the next request."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Hand a task to its stage: all that it reads has been sent."""

    request: int
    stage: int


@dataclass(frozen=True, slots=True)
class Collect:
    """Take the model's outputs that this stage returns, now: its memory may be released next."""

    request: int
    stage: int


@dataclass(frozen=True, slots=True)
class Release:
    """Nobody reads what this sender (a stage, or the caller) sent for a request any more."""

    request: int
    sender: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A request is done, and all its outputs were collected."""

    request: int


Instruction = Fetch | Compute | Collect | Release | Answer


@dataclass(slots=True)
class _Progress:
    """One request on its way."""

    missing: list[int]
    """For each stage: how many senders it waits for."""
    readers: dict[int, int]
    """For each sender: how many stages have still to read what it sent."""
    unfinished: int


@dataclass(slots=True)
class Schedule:
    """See the module. One object drives one stream of requests."""

    route: Route
    in_flight: int = 1
    queue: int = 1
    _requests: dict[int, _Progress] = field(default_factory=dict[int, _Progress])
    _ready: list[list[int]] = field(default_factory=list[list[int]])
    _running: list[set[int]] = field(default_factory=list[set[int]])
    _offered: int = 0
    _fetching: bool = False
    _ended: bool = False

    def begin(self) -> list[Instruction]:
        """The first instructions."""
        self._ready = [[] for _ in range(self.route.stages)]
        self._running = [set() for _ in range(self.route.stages)]
        return self._fetch()

    @property
    def done(self) -> bool:
        """Whether every request that came was answered, and no more will come."""
        return self._ended and not self._requests

    def handle(self, event: Event) -> list[Instruction]:
        """What to do now that this has happened.

        Raises:
            RunError: the event cannot have happened; the message says what was expected.
        """
        match event:
            case Offered(request):
                return self._offer(request)
            case Ended():
                self._fetching, self._ended = False, True
                return []
            case Finished(request, stage):
                return self._finish(request, stage)

    def _offer(self, request: int) -> list[Instruction]:
        if not self._fetching or request != self._offered:
            raise RunError(f"request {request}", "was not asked for", expected=self._offered)
        self._fetching, self._offered = False, request + 1
        senders = range(CALLER, self.route.stages)
        self._requests[request] = _Progress(
            missing=[len(senders) for senders in self.route.received],
            readers={sender: len(self.route.readers(sender)) for sender in senders},
            unfinished=self.route.stages,
        )
        return [*self._deliver(request, CALLER), *self._fetch()]

    def _finish(self, request: int, stage: int) -> list[Instruction]:
        if not 0 <= stage < self.route.stages or request not in self._running[stage]:
            raise RunError(f"stage {stage}, request {request}", "finished a task that it was not given")
        progress = self._requests[request]
        self._running[stage].discard(request)
        progress.unfinished -= 1
        found: list[Instruction] = [Collect(request, stage)] if self.route.returned[stage] else []
        for sender in self.route.received[stage]:
            progress.readers[sender] -= 1
            if not progress.readers[sender]:
                found.append(Release(request, sender))
        if not progress.readers[stage]:
            found.append(Release(request, stage))
        found += [*self._deliver(request, stage), *self._dispatch(stage)]
        if not progress.unfinished:
            del self._requests[request]
            found += [Answer(request), *self._fetch()]
        return found

    def _deliver(self, request: int, sender: int) -> list[Instruction]:
        """A sender's values are there: the stages that waited for nothing else become ready."""
        missing, found = self._requests[request].missing, list[Instruction]()
        for stage, senders in enumerate(self.route.received):
            missing[stage] -= sender in senders
            needs_nothing = not senders and sender == CALLER
            if (sender in senders or needs_nothing) and not missing[stage]:
                heapq.heappush(self._ready[stage], request)
                found += self._dispatch(stage)
        return found

    def _dispatch(self, stage: int) -> list[Instruction]:
        found = list[Instruction]()
        while self._ready[stage] and len(self._running[stage]) < self.queue:
            request = heapq.heappop(self._ready[stage])
            self._running[stage].add(request)
            found.append(Compute(request, stage))
        return found

    def _fetch(self) -> list[Instruction]:
        if self._fetching or self._ended or len(self._requests) >= self.in_flight:
            return []
        self._fetching = True
        return [Fetch()]
