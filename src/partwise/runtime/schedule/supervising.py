"""Rules of workers that refuse, leave, fall silent or take too long, and of time."""

from __future__ import annotations

from partwise.runtime.schedule.capacity import Capacity, assign
from partwise.runtime.schedule.events import Fault, Refused
from partwise.runtime.schedule.instructions import Abandon, Instruction, Ping, Stop, Wake
from partwise.runtime.schedule.repeating import Repeating
from partwise.runtime.schedule.roster import Member

__all__ = ["Supervising"]


class Supervising(Repeating):
    """See the module."""

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

    def _lose(self, member: Member, what: str, why: str, *, late: bool = False) -> list[Instruction]:
        """A worker is gone: its tasks go elsewhere, and another process takes its place."""
        if not member.up:
            return []
        self._incident(what, worker=member.number, why=why)
        found, stream = list[Instruction](), self._stream
        for place, ticket in enumerate(member.fall()):
            task = self._tasks.pop(ticket)
            if stream is not None:
                found += self._bereaved(stream, task, why, computing=place == 0, late=late)
        if stream is not None and not self._durable:
            stream.lose(member.number)
        found += self._blame(member, why)
        if member.own and member.excluded_until_s is None:
            found += self._start(member)
        if not member.own:
            member.assigned.clear()
            found += self._cover()
        return found

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
        silence_s = policy.heartbeat_s if member.loaded else max(policy.heartbeat_s, policy.start_s)
        late = bool(member.running) and now_s - member.began_s > limit_s
        if late:
            what, why = "overdue", f"a task took more than {limit_s:g} s"
        elif (member.loaded or member.loading) and now_s - member.heard_s > silence_s:
            what, why = "silent", f"no sign of life for {silence_s:g} s"
        elif any(now_s - since_s > policy.load_s for since_s in member.loading.values()):
            what, why = "overdue", f"loading took more than {policy.load_s:g} s"
        else:
            return [Ping(member.number)]
        return [Stop(member.number), *self._lose(member, what, why, late=late)]

    def _deadline_s(self, member: Member) -> float:
        """Of the task that a worker computes."""
        stage = self._tasks[member.running[0]].stage if member.running else None
        longest_s = self._longest_s.get(stage) if stage is not None else None
        if longest_s is None:
            return self.policy.first_deadline_s
        return max(self.policy.least_deadline_s, self.policy.deadline_factor * longest_s)

    def _wake(self) -> list[Instruction]:
        """Ask for the next `Woke`, if it is wanted sooner than the one under way."""
        times_s = [m.excluded_until_s for m in self.roster.members.values() if m.excluded_until_s is not None]
        times_s += self._delayed.values()
        if self._supervised:
            times_s.append(self._now_s + self.policy.tick_s)
        soonest = min(times_s) if times_s else None
        if soonest is None or (self._wake_s is not None and self._wake_s <= soonest):
            return []
        self._wake_s = soonest
        return [Wake(max(0.0, soonest - self._now_s))]
