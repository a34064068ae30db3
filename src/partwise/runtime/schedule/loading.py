"""Rules of workers and their stages: who starts, who loads what, who is blamed, who steps in."""

from __future__ import annotations

from collections.abc import Iterable

from partwise.runtime.schedule.desk import Desk
from partwise.runtime.schedule.events import Event
from partwise.runtime.schedule.instructions import Abandon, Instruction, Load, Start
from partwise.runtime.schedule.roster import Member

__all__ = ["Loading"]


class Loading(Desk):
    """See the module."""

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

    def _blame(self, member: Member, why: str) -> list[Instruction]:
        """A worker's failure lowers its share; several in a row exclude it, and others take its stages."""
        if not member.fail(self.policy, self._now_s):
            return []
        self._incident("excluded", worker=member.number, why=f"{member.in_a_row} failures in a row, the last: {why}")
        stages = [s for s in sorted(member.assigned) if self.roster.all_failing(s, self.policy.abandon_after)]
        holders = {stage: [m.number for m in self.roster.holders(stage)] for stage in stages}
        given_up = [Abandon(s, member.number, why, self._in_a_row(numbers)) for s, numbers in holders.items()]
        return [*given_up, *self._cover()]

    def _in_a_row(self, workers: Iterable[int]) -> tuple[int, ...]:
        """Workers, each once for each of its failures in a row."""
        return tuple(number for number in workers for _ in range(max(1, self.roster.members[number].in_a_row)))

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
