"""Rules of tasks that came to nothing: again, after a while, elsewhere, on the CPU, in pieces, or not at all."""

from __future__ import annotations

from partwise.runtime.schedule.desk import Task
from partwise.runtime.schedule.dividing import Dividing
from partwise.runtime.schedule.events import Event, Failed, Fault
from partwise.runtime.schedule.instructions import Instruction
from partwise.runtime.schedule.request import State
from partwise.runtime.schedule.roster import Member
from partwise.runtime.schedule.stream import Stream

__all__ = ["Repeating"]


class Repeating(Dividing):
    """See the module."""

    def _take(self, ticket: int, event: Event) -> Task | None:
        """The task under a ticket; None for one that was given up."""
        if not 0 <= ticket < self._tickets:
            raise self._impossible(event, "was never given", ticket=ticket)
        return self._tasks.pop(ticket, None)

    def _again(self, task: Task) -> list[Instruction]:
        """A running task came to nothing: once more, in pieces if its stage was divided since."""
        stream = self._stream
        assert stream is not None
        if task.stage not in self._divisions:
            stream.retry(task.request, task.stage)
            return []
        stream.retry(task.request, task.stage, after=State.PARKED)
        return [*self._adopt(task.request, task.stage), *self._forget(task.stage)]

    def _repeat(self, task: Task, member: Member, event: Failed) -> list[Instruction]:
        """Once more after a while, as long as there is hope."""
        request = self._open_stream(event).requests[task.request]
        tries = request.attempts[task.stage] = request.attempts.get(task.stage, 0) + 1
        tried = request.failed_on.setdefault(task.stage, set())
        found = list[Instruction]()
        if member.number not in tried and event.fault in (Fault.ERROR, Fault.MISSING):
            # A task that fails again says nothing more about its worker, nor does one that does not fit.
            tried.add(member.number)
            found += self._blame(member, event.why)
        if tries >= self.policy.attempts:
            return [*found, *self._exhausted(task, event.fault, event.why)]
        self._open_stream(event).retry(task.request, task.stage, after=State.DELAYED)
        wait_s = min(self.policy.backoff_s * 2 ** (tries - 1), self.policy.most_backoff_s)
        self._delayed[task.request, task.stage] = self._now_s + wait_s
        return found

    def _exhausted(self, task: Task, fault: Fault, why: str) -> list[Instruction]:
        """A task that keeps failing: on the CPU, in pieces, or not at all."""
        stream, member = self._stream, self.roster.members[task.worker]
        assert stream is not None
        if fault is Fault.ERROR and self._may_use_cpu(member, task.stage):
            stream.requests[task.request].attempts[task.stage] = 0
            return [*self._again(task), *self._use_cpu(member, task.stage, why)]
        stream.retry(task.request, task.stage, after=State.PARKED)
        known = stream.requests[task.request]
        defeat = known.failures[task.stage] = known.defeat(task.stage, task.worker, why)
        # A stage that has served other requests is not to blame for an error: the request is.
        guilty = fault is Fault.MEMORY or (fault is Fault.ERROR and task.stage not in self._longest_s)
        if not guilty or not self._may_divide(task.stage):
            self._note("given up", task, why)
            for worker in known.failed_on.get(task.stage, ()) if not guilty else ():
                self.roster.members[worker].forgive(self.policy)
            return stream.give_up(task.request, defeat)
        return self._divide(task.stage)

    def _bereaved(
        self, stream: Stream, task: Task, why: str, *, computing: bool, fault: Fault = Fault.MEMORY
    ) -> list[Instruction]:
        """A task has lost its worker: perhaps the task is what ends its workers, for want of memory above all."""
        request = stream.requests[task.request]
        if request.given_up is not None:
            stream.retry(task.request, task.stage, after=State.PARKED)
            return [*stream.give_up(task.request, request.given_up), *self._forget(task.stage)]
        if computing:
            request.failed(task.stage, task.worker)
        deaths = request.deaths[task.stage] = request.deaths.get(task.stage, 0) + computing
        if deaths < self.policy.deaths or task.stage in self._divisions:
            return self._again(task)
        request.deaths[task.stage] = 0
        return self._exhausted(task, fault, why)
