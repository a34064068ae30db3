"""The state machine: an event goes in, instructions come out."""

from __future__ import annotations

from partwise.errors import RunError
from partwise.runtime.schedule.capacity import assign, spread
from partwise.runtime.schedule.desk import Task
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
    Compute,
    Discard,
    Instruction,
    Stop,
)
from partwise.runtime.schedule.request import Defeat, State
from partwise.runtime.schedule.stream import Stream
from partwise.runtime.schedule.supervising import Supervising

__all__ = ["Schedule"]


class Schedule(Supervising):
    """See the package. One object drives the workers of one executor, and its streams one after the other."""

    def begin(self) -> list[Instruction]:
        """Start the workers, and load their stages."""
        capacities = {number: member.capacity for number, member in self.roster.members.items()}
        found = list[Instruction]()
        share = assign if self.roster.resident else spread
        for number, stages in share(self._demands, capacities, self.route.active).items():
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

    def _dispatch(self) -> list[Instruction]:
        stream, found = self._stream, list[Instruction]()
        for request, stage in stream.ready() if stream is not None else ():
            assert stream is not None
            avoided = stream.requests[request].failed_on.get(stage, set())
            member = self.roster.choose(stage, avoided, elsewhere=self.policy.elsewhere)
            if member is None:
                continue
            stream.take(request, stage)
            ticket, self._tickets = self._tickets, self._tickets + 1
            self._tasks[ticket] = Task(request, stage, member.number)
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
        return [*found, *self._forget(task.stage)] if task.stage in self._divisions else found

    def _fail(self, event: Failed) -> list[Instruction]:
        task = self._take(event.ticket, event)
        if task is None:
            return []
        member, stream = self.roster.members[task.worker], self._open_stream(event)
        member.drop(event.ticket, self._now_s)
        self._note("failed", task, event.why)
        if (given_up := stream.requests[task.request].given_up) is not None:
            stream.retry(task.request, task.stage, after=State.PARKED)
            return [*stream.give_up(task.request, given_up), *self._forget(task.stage)]
        if event.fault is Fault.INPUTS and not stream.requests[task.request].has_inputs(task.stage):
            return self._again(task)
        if event.fault is Fault.FINAL:
            stream.retry(task.request, task.stage, after=State.PARKED)
            return stream.give_up(task.request, Defeat(member.number, event.why))
        if event.fault is Fault.LIED:
            ended = self._bereaved(stream, task, event.why, computing=True, fault=Fault.LIED)
            return [*ended, Stop(member.number), *self._lose(member, "lied", event.why)]
        stream.requests[task.request].failed(task.stage, member.number)
        if event.fault in (Fault.MEMORY, Fault.MISSING) and self._may_use_cpu(member, task.stage):
            return [*self._again(task), *self._use_cpu(member, task.stage, event.why)]
        if task.stage in self._divisions:
            return self._again(task)
        if event.fault is Fault.MEMORY and self._may_divide(task.stage):  # it would not fit the next time either
            return self._exhausted(task, event.fault, event.why)
        return self._repeat(task, member, event)
