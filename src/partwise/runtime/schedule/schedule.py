"""The state machine: an event goes in, instructions come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from partwise.errors import RunError
from partwise.runtime.route import Piece, Route
from partwise.runtime.schedule.capacity import Capacity, Demand, assign
from partwise.runtime.schedule.events import (
    Divided,
    Ended,
    Event,
    Failed,
    Fault,
    Finished,
    Heard,
    Indivisible,
    Joined,
    Loaded,
    Lost,
    Offered,
    Refused,
    Woke,
)
from partwise.runtime.schedule.instructions import (
    Abandon,
    Compute,
    Discard,
    Divide,
    Instruction,
    Load,
    Ping,
    Start,
    Stop,
    Unload,
    Wake,
)
from partwise.runtime.schedule.policy import Policy
from partwise.runtime.schedule.request import State
from partwise.runtime.schedule.roster import Member, Roster
from partwise.runtime.schedule.story import Incident, Story, told
from partwise.runtime.schedule.stream import Key, Stream

__all__ = ["Schedule"]


@dataclass(frozen=True, slots=True)
class _Task:
    """One attempt at a task."""

    request: int
    stage: int
    worker: int


class Schedule:
    """See the package. One object drives the workers of one executor, and its streams one after the other."""

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
            remembered: steps that the story keeps; None: all.
        """
        self.route, self.policy, self.story = route, policy or Policy(), Story(remembered)
        self._demands = list(demands or [Demand()] * route.stages)
        count = route.stages if workers is None else workers
        given = [Capacity()] * count if isinstance(count, int) else count
        capacities = given if isinstance(given, Mapping) else dict(enumerate(given))
        self.roster = Roster(queue)
        for number, capacity in capacities.items():
            self.roster.members[number] = Member(number, capacity, own=own)
        self._in_flight, self._durable, self._supervised = in_flight, durable, supervised
        self._stream: Stream | None = None
        self._tasks: dict[int, _Task] = {}
        self._tickets = 0
        self._now_s = 0.0
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

    def begin(self) -> list[Instruction]:
        """Start the workers, and load their stages."""
        capacities = {number: member.capacity for number, member in self.roster.members.items()}
        found = list[Instruction]()
        for number, stages in assign(self._demands, capacities, self.route.active).items():
            self.roster.members[number].assigned = set(stages)
            if stages or not self.roster.members[number].own:
                found += self._start(self.roster.members[number])
        if capacities:
            found += [i for stage in self.route.active if not self.roster.holders(stage) for i in self._homeless(stage)]
        return self._step(None, found)

    def open(self) -> list[Instruction]:
        """Begin a stream of requests, numbered from 0.

        Raises:
            RunError: the stream before it has not ended.
        """
        if not self.done:
            raise RunError("a stream", "began before the one before it had ended")
        self._delayed.clear()
        self._stream = Stream(in_flight=self._in_flight, durable=self._durable)
        return self._step(None, [])

    def handle(self, event: Event) -> list[Instruction]:
        """What to do now that this has happened.

        Raises:
            RunError: the event cannot have happened; the message says what did.
        """
        return self._step(event, self._react(event))

    def _step(self, event: Event | None, found: list[Instruction]) -> list[Instruction]:
        if self._stream is not None:
            found += [*self._dispatch(), *self._stream.answers(), *self._stream.fetch()]
        found += self._wake()
        self.story.add(event, found)
        return found

    def _react(self, event: Event) -> list[Instruction]:
        match event:
            case Finished():
                return self._finish(event)
            case Heard(worker):
                self._member(worker, event).heard_s = self._now_s
                return []
            case Offered(request):
                self._open_stream(event).offer(request, self.route)
                return []
            case Ended():
                self._open_stream(event).end()
                return []
            case Woke(elapsed_s):
                return self._woke(elapsed_s)
            case Loaded(worker, stage):
                return self._loaded(self._member(worker, event), stage, event)
            case Failed():
                return self._fail(event)
            case Lost(worker, why):
                return self._lose(self._member(worker, event), "lost", why)
            case Refused():
                return self._refused(self._member(event.worker, event), event)
            case Joined(worker, capacity):
                return self._join(worker, capacity)
            case Divided():
                return self._divided(event)
            case Indivisible(stage, why):
                return self._undivided(stage, why, event)

    # Tasks

    def _dispatch(self) -> list[Instruction]:
        stream, found = self._stream, list[Instruction]()
        for request, stage in stream.ready() if stream is not None else ():
            assert stream is not None
            member = self.roster.choose(stage, stream.requests[request].failed_on.get(stage, set()))
            if member is None:
                continue
            stream.take(request, stage)
            ticket, self._tickets = self._tickets, self._tickets + 1
            self._tasks[ticket] = _Task(request, stage, member.number)
            if not member.running:
                member.began_s = self._now_s
            member.running.append(ticket)
            found.append(Compute(ticket, request, stage, member.number))
        return found

    def _finish(self, event: Finished) -> list[Instruction]:
        task = self._take(event.ticket, event)
        if task is None:
            return [Discard(event.ticket)]
        member = self.roster.members[task.worker]
        member.drop(event.ticket, self._now_s)
        member.succeed(self.policy)
        self._longest_s[task.stage] = max(event.seconds, self._longest_s.get(task.stage, 0.0))
        found = self._open_stream(event).finish(task.request, task.stage, task.worker)
        return [*found, *self._forget(task.stage)]

    def _fail(self, event: Failed) -> list[Instruction]:
        task = self._take(event.ticket, event)
        if task is None:
            return []
        member, stream = self.roster.members[task.worker], self._open_stream(event)
        member.drop(event.ticket, self._now_s)
        self._note("failed", task, event.why)
        if (given_up := stream.requests[task.request].given_up) is not None:
            stream.retry(task.request, task.stage, after=State.PARKED)
            return [*stream.give_up(task.request, *given_up), *self._forget(task.stage)]
        if event.fault is Fault.INPUTS:
            return self._again(task)
        if event.fault is Fault.FINAL:
            stream.retry(task.request, task.stage, after=State.PARKED)
            return stream.give_up(task.request, member.number, event.why)
        if event.fault is Fault.LIED:
            return [*self._again(task), Stop(member.number), *self._lose(member, "lied", event.why)]
        if event.fault in (Fault.MEMORY, Fault.MISSING) and self._may_use_cpu(member, task.stage):
            return [*self._again(task), *self._use_cpu(member, task.stage, event.why)]
        if task.stage in self._divisions:
            return self._again(task)
        return self._repeat(task, member, event)

    def _again(self, task: _Task) -> list[Instruction]:
        """A running task came to nothing: once more, in pieces if its stage was divided since."""
        stream = self._stream
        assert stream is not None
        if task.stage not in self._divisions:
            stream.retry(task.request, task.stage)
            return []
        stream.retry(task.request, task.stage, after=State.PARKED)
        return [*self._adopt(task.request, task.stage), *self._forget(task.stage)]

    def _repeat(self, task: _Task, member: Member, event: Failed) -> list[Instruction]:
        """Once more after a while, as long as there is hope."""
        request = self._open_stream(event).requests[task.request]
        tries = request.attempts[task.stage] = request.attempts.get(task.stage, 0) + 1
        tried = request.failed_on.setdefault(task.stage, set())
        found = list[Instruction]()
        if member.number not in tried:  # a task that fails again says nothing more about its worker
            tried.add(member.number)
            found += self._blame(member, event.why)
        if tries >= self.policy.attempts:
            return [*found, *self._exhausted(task, event.fault, event.why)]
        self._open_stream(event).retry(task.request, task.stage, after=State.DELAYED)
        wait_s = min(self.policy.backoff_s * 2 ** (tries - 1), self.policy.most_backoff_s)
        self._delayed[task.request, task.stage] = self._now_s + wait_s
        return found

    def _exhausted(self, task: _Task, fault: Fault, why: str) -> list[Instruction]:
        """A task that keeps failing: on the CPU, in pieces, or not at all."""
        stream, member = self._stream, self.roster.members[task.worker]
        assert stream is not None
        if fault is Fault.ERROR and self._may_use_cpu(member, task.stage):
            stream.requests[task.request].attempts[task.stage] = 0
            return [*self._again(task), *self._use_cpu(member, task.stage, why)]
        stream.retry(task.request, task.stage, after=State.PARKED)
        # A stage that has served other requests is not to blame for an error: the request is.
        guilty = fault is Fault.MEMORY or (fault is Fault.ERROR and task.stage not in self._longest_s)
        if not self.policy.divide or not guilty or task.stage in self._indivisible:
            self._note("given up", task, why)
            return stream.give_up(task.request, task.worker, why)
        return self._divide(task.stage)

    def _take(self, ticket: int, event: Event) -> _Task | None:
        """The task under a ticket; None for one that was given up."""
        if not 0 <= ticket < self._tickets:
            raise self._impossible(event, "was never given", ticket=ticket)
        return self._tasks.pop(ticket, None)

    # Workers

    def _start(self, member: Member) -> list[Instruction]:
        member.up, member.heard_s = True, self._now_s
        found: list[Instruction] = [Start(member.number)] if member.own else []
        return [*found, *(i for stage in sorted(member.assigned) for i in self._load(member, stage))]

    def _give(self, member: Member, stage: int) -> list[Instruction]:
        """A stage for a worker that may not have been started, or is left alone for a while."""
        member.assigned.add(stage)
        if member.up:
            return self._load(member, stage)
        return self._start(member) if member.own and member.excluded_until_s is None else []

    def _load(self, member: Member, stage: int) -> list[Instruction]:
        member.assigned.add(stage)
        member.loaded.discard(stage)
        member.loading[stage] = self._now_s
        return [Load(member.number, stage, on_cpu=stage in member.on_cpu)]

    def _loaded(self, member: Member, stage: int, event: Event) -> list[Instruction]:
        if not member.up:
            return []
        if member.loading.pop(stage, None) is None:
            raise self._impossible(event, "was not asked for", worker=member.number)
        member.heard_s = self._now_s
        member.loaded.add(stage)
        return []

    def _refused(self, member: Member, event: Refused) -> list[Instruction]:
        if not member.up:
            return []
        if member.loading.pop(event.stage, None) is None:
            raise self._impossible(event, "was not asked for", worker=member.number)
        self._incident("refused", worker=member.number, stage=event.stage, why=event.why)
        if event.fault in (Fault.MEMORY, Fault.MISSING, Fault.ERROR) and self._may_use_cpu(member, event.stage):
            return self._use_cpu(member, event.stage, event.why)
        if event.fault is Fault.FINAL:
            return [Abandon(event.stage, member.number, event.why)]
        found = self._blame(member, event.why)
        if event.fault is Fault.MEMORY or self.roster.all_failing(event.stage, self.policy.exclude_after):
            member.assigned.discard(event.stage)
            return [*found, *self._homeless(event.stage, member.number, event.why, divide=event.fault is Fault.MEMORY)]
        return [*found, *self._load(member, event.stage)]

    def _join(self, worker: int, capacity: Capacity) -> list[Instruction]:
        """A worker is there: it gets what nobody has, or else a copy of what has most work for each of its workers."""
        member = self.roster.members.setdefault(worker, Member(worker, capacity, own=False))
        found = self._lose(member, "lost", "it joined anew") if member.up else []
        member.capacity, member.assigned, member.excluded_until_s = capacity, set(), None
        member.up, member.heard_s = True, self._now_s
        for stage in self.route.active:
            if not self.roster.holders(stage) and not capacity.shortage(
                self._demands[number] for number in {*member.assigned, stage}
            ):
                found += self._load(member, stage)
        if not member.assigned:
            (stages,) = assign(self._demands, {worker: capacity}, self._neediest()).values()
            found += [i for stage in stages[:1] for i in self._load(member, stage)]
        return found

    def _neediest(self) -> list[int]:
        """The stage with most work for each of its workers."""
        copies = {stage: len(self.roster.holders(stage)) for stage in self.route.active}
        return [max(copies, key=lambda stage: (self._demands[stage].work / max(1, copies[stage]), -stage))]

    def _lose(self, member: Member, what: str, why: str) -> list[Instruction]:
        """A worker is gone: its tasks go elsewhere, and another process takes its place."""
        if not member.up:
            return []
        self._incident(what, worker=member.number, why=why)
        found, stream = list[Instruction](), self._stream
        for place, ticket in enumerate(member.fall()):
            task = self._tasks.pop(ticket)
            if stream is not None:
                found += self._bereaved(stream, task, why, computing=place == 0)
        if stream is not None and not self._durable:
            stream.lose(member.number)
        found += self._blame(member, why)
        if member.own and member.excluded_until_s is None:
            found += self._start(member)
        if not member.own:
            member.assigned.clear()
            found += self._cover()
        return found

    def _bereaved(self, stream: Stream, task: _Task, why: str, *, computing: bool) -> list[Instruction]:
        """A task has lost its worker."""
        request = stream.requests[task.request]
        if request.given_up is not None:
            stream.retry(task.request, task.stage, after=State.PARKED)
            return [*stream.give_up(task.request, *request.given_up), *self._forget(task.stage)]
        deaths = request.deaths[task.stage] = request.deaths.get(task.stage, 0) + computing
        if deaths < self.policy.deaths or task.stage in self._divisions:
            return self._again(task)
        request.deaths[task.stage] = 0
        return self._exhausted(task, Fault.MEMORY, why)

    def _blame(self, member: Member, why: str) -> list[Instruction]:
        """A worker's failure lowers its share; several in a row exclude it, and others take its stages."""
        if not member.fail(self.policy, self._now_s):
            return []
        self._incident("excluded", worker=member.number, why=f"{member.in_a_row} failures in a row, the last: {why}")
        stages = [s for s in sorted(member.assigned) if self.roster.all_failing(s, self.policy.abandon_after)]
        return [*(Abandon(stage, member.number, why) for stage in stages), *self._cover()]

    def _cover(self) -> list[Instruction]:
        """Give each stage that no available worker has to one with room, if there is any."""
        found = list[Instruction]()
        for stage in self.route.active:
            if not any(member.available for member in self.roster.holders(stage)):
                member = self.roster.with_room(stage, self._demands)
                found += self._load(member, stage) if member is not None else []
        return found

    def _may_use_cpu(self, member: Member, stage: int) -> bool:
        return self.policy.cpu_fallback and stage not in member.on_cpu

    def _use_cpu(self, member: Member, stage: int, why: str) -> list[Instruction]:
        self._incident("on cpu", worker=member.number, stage=stage, why=why)
        member.on_cpu.add(stage)
        return self._load(member, stage)

    # Division

    def _homeless(
        self, stage: int, worker: int | None = None, why: str = "", *, divide: bool = True
    ) -> list[Instruction]:
        """A stage that a worker, or no worker, takes as it is: to another that has not refused it, or in pieces."""
        if self.roster.holders(stage):
            return []
        refused = self._refusals.setdefault(stage, set())
        refused.update(() if worker is None else (worker,))
        member = self.roster.with_room(stage, self._demands, refused)
        if member is not None:
            return self._load(member, stage)
        if divide and self.policy.divide and stage not in self._indivisible and stage not in self._divisions:
            return self._divide(stage)
        return [Abandon(stage, worker, why or self._shortage(stage))]

    def _divide(self, stage: int) -> list[Instruction]:
        if stage in self._dividing:
            return []
        self._dividing.add(stage)
        return [Divide(stage)]

    def _divided(self, event: Divided) -> list[Instruction]:
        stage, first = event.stage, self.route.stages
        if stage not in self._dividing:
            raise self._impossible(event, "was not asked for", stage=stage)
        self._dividing.discard(stage)
        self._incident("divided", stage=stage, why=f"into {len(event.pieces)} stages from {first} on")
        self._divisions[stage] = first, event.pieces
        self.route = self.route.divided(stage, first, event.pieces)
        self._demands += event.demands
        for member in self.roster.members.values():
            member.assigned.discard(stage)
        found = [i for piece in range(first, self.route.stages) for i in self._place(piece, first)]
        stream = self._stream
        for request in stream.undone(stage) if stream is not None else ():
            found += self._adopt(request, stage)
        return [*found, *self._forget(stage)]

    def _place(self, stage: int, first: int) -> list[Instruction]:
        """A worker for a piece, rather not one that has another piece of the same stage."""
        member = self.roster.with_room(stage, self._demands, apart=range(first, self.route.stages))
        if member is None:  # nobody is there just now who could hold it: whoever starts next will
            rooms = [m for m in self.roster.members.values() if m.own and m.capacity.shortage(()) is None]
            fitting = [m for m in rooms if not m.capacity.shortage(self._demands[s] for s in {*m.assigned, stage})]
            member = min(fitting, key=lambda m: (len(m.assigned), m.number), default=None)
        return self._homeless(stage) if member is None else self._give(member, stage)

    def _adopt(self, request: int, stage: int) -> list[Instruction]:
        """A request takes the pieces of a stage, and the pieces of these if they were divided since."""
        stream = self._stream
        assert stream is not None
        first, pieces = self._divisions[stage]
        found = stream.divide(request, stage, first, pieces)
        known = stream.requests[request]
        for piece in range(first, first + len(pieces)):
            if piece in self._divisions and piece in known.states:
                found += self._adopt(request, piece)
        return found

    def _undivided(self, stage: int, why: str, event: Event) -> list[Instruction]:
        if stage not in self._dividing:
            raise self._impossible(event, "was not asked for", stage=stage)
        self._dividing.discard(stage)
        self._indivisible[stage] = why
        self._incident("indivisible", stage=stage, why=why)
        if not self.roster.holders(stage):
            return [Abandon(stage, None, self._shortage(stage) or why)]
        stream, found = self._stream, list[Instruction]()
        for request in stream.undone(stage) if stream is not None else ():
            if stream is not None and stream.requests[request].states[stage] is State.PARKED:
                found += stream.give_up(request, None, why)
        return found

    def _forget(self, stage: int) -> list[Instruction]:
        """Unload a divided stage once nobody computes it."""
        if stage not in self._divisions or any(task.stage == stage for task in self._tasks.values()):
            return []
        holders = [m for m in self.roster.members.values() if stage in m.loaded or stage in m.loading]
        for member in holders:
            member.loaded.discard(stage)
        return [Unload(member.number, stage) for member in holders if stage not in member.loading]

    def _shortage(self, stage: int) -> str:
        shortages = [member.capacity.shortage([self._demands[stage]]) for member in self.roster.members.values()]
        return next((shortage for shortage in shortages if shortage), "there is no worker with room for it")

    # Time

    def _woke(self, elapsed_s: float) -> list[Instruction]:
        # A caller that slept itself (a laptop, a slow reader of answers) must not take its workers for dead.
        self._now_s += min(elapsed_s, 2 * self.policy.tick_s)
        self._wake_s = None
        due = [key for key, at_s in self._delayed.items() if at_s <= self._now_s]
        for key in due:
            del self._delayed[key]
        if self._stream is not None:
            self._stream.resume(due)
        found = list[Instruction]()
        for member in list(self.roster.members.values()):
            found += self._return(member)
            if self._supervised and member.up:
                found += self._look_after(member)
        return found

    def _return(self, member: Member) -> list[Instruction]:
        """The end of an exclusion."""
        if member.excluded_until_s is None or member.excluded_until_s > self._now_s:
            return []
        member.excluded_until_s = None
        return self._start(member) if member.own and not member.up else []

    def _look_after(self, member: Member) -> list[Instruction]:
        """A sign of life is asked for; a worker that is silent or late is ended."""
        policy, now_s = self.policy, self._now_s
        limit_s = self._deadline_s(member)
        if member.running and now_s - member.began_s > limit_s:
            what, why = "overdue", f"a task took more than {limit_s:g} s"
        elif member.loaded and now_s - member.heard_s > policy.heartbeat_s:
            what, why = "silent", f"no sign of life for {policy.heartbeat_s:g} s"
        elif any(now_s - since_s > policy.load_s for since_s in member.loading.values()):
            what, why = "overdue", f"loading took more than {policy.load_s:g} s"
        else:
            return [Ping(member.number)]
        return [Stop(member.number), *self._lose(member, what, why)]

    def _deadline_s(self, member: Member) -> float:
        """Of the task that a worker computes."""
        stage = self._tasks[member.running[0]].stage if member.running else None
        longest_s = self._longest_s.get(stage) if stage is not None else None
        if longest_s is None:
            return self.policy.first_deadline_s
        return max(self.policy.least_deadline_s, self.policy.deadline_factor * longest_s)

    def _wake(self) -> list[Instruction]:
        """Ask for the next `Woke`, if it is wanted sooner than the one under way."""
        ends = [m.excluded_until_s for m in self.roster.members.values() if m.excluded_until_s is not None]
        soonest = min((*self._delayed.values(), *ends), default=None)
        if self._supervised:
            tick_s = self._now_s + self.policy.tick_s
            soonest = tick_s if soonest is None else min(soonest, tick_s)
        if soonest is None or (self._wake_s is not None and self._wake_s <= soonest):
            return []
        self._wake_s = soonest
        return [Wake(max(0.0, soonest - self._now_s))]

    # Words

    def _member(self, worker: int, event: Event) -> Member:
        if worker not in self.roster.members:
            raise self._impossible(event, "is of no worker of this run", worker=worker)
        return self.roster.members[worker]

    def _open_stream(self, event: Event) -> Stream:
        if self._stream is None:
            raise self._impossible(event, "came before any stream")
        return self._stream

    def _note(self, what: str, task: _Task, why: str) -> None:
        self._incident(what, worker=task.worker, stage=task.stage, request=task.request, why=why)

    def _incident(self, what: str, **fields: int | str | None) -> None:
        self.story.note(Incident(what=what, **fields))  # pyright: ignore[reportArgumentType]

    def _impossible(self, event: Event, what: str, **about: int) -> RunError:
        return RunError(told(event), what, hint=f"what happened before: {self.story.about(**about)}.")
