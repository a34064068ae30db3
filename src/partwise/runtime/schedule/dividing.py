"""Rules of stages that no worker takes as they are: they are cut, and requests take the pieces instead."""

from __future__ import annotations

from partwise.runtime.schedule.events import Divided, Event
from partwise.runtime.schedule.instructions import Abandon, Divide, Instruction, Unload
from partwise.runtime.schedule.loading import Loading
from partwise.runtime.schedule.request import State
from partwise.runtime.schedule.stream import Stream

__all__ = ["Dividing"]


class Dividing(Loading):
    """See the module."""

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
        if divide and self._may_divide(stage):
            return self._divide(stage)
        return [Abandon(stage, worker, why or self._shortage(stage), self._in_a_row(sorted(refused)) if why else ())]

    def _may_divide(self, stage: int) -> bool:
        return self.policy.divide and stage not in self._indivisible and stage not in self._divisions

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
        if not self.roster.resident:
            return self._spread(stage)
        member = self.roster.with_room(stage, self._demands, apart=range(first, self.route.stages))
        if member is None:  # nobody is there just now who could hold it: whoever starts next will
            rooms = [m for m in self.roster.members.values() if m.own and m.capacity.shortage(()) is None]
            fitting = [m for m in rooms if not m.capacity.shortage(self._demands[s] for s in {*m.assigned, stage})]
            member = min(fitting, key=lambda m: (len(m.assigned), m.number), default=None)
        return self._homeless(stage) if member is None else self._give(member, stage)

    def _spread(self, stage: int) -> list[Instruction]:
        """A piece for every worker that it fits, as at the beginning."""
        fitting = [m for m in self.roster.members.values() if self.roster.has_room(m, stage, self._demands)]
        return [i for member in fitting for i in self._give(member, stage)] or self._homeless(stage)

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
            return [Abandon(stage, None, f"{self._shortage(stage)}, and cannot be cut smaller ({why.rstrip('.')})")]
        stream, found = self._stream, list[Instruction]()
        for request in stream.undone(stage) if stream is not None else ():
            if stream is not None and stream.requests[request].states[stage] is State.PARKED:
                found += self._last_tries(stream, request, stage)
        return found

    def _last_tries(self, stream: Stream, request: int, stage: int) -> list[Instruction]:
        """A task whose stage cannot be divided has the attempts that are left to it."""
        known = stream.requests[request]
        known.attempts[stage] = known.attempts.get(stage, 0) + 1
        if known.attempts[stage] >= self.policy.attempts:
            last = known.failures[stage]
            self._incident("given up", worker=last.worker, stage=stage, request=request, why=last.why)
            return stream.give_up(request, last)
        known.states[stage] = State.DELAYED
        self._delayed[request, stage] = self._now_s + self.policy.backoff_s
        return []

    def _forget(self, stage: int) -> list[Instruction]:
        """Unload a divided stage once nobody computes it."""
        if stage not in self._divisions or any(task.stage == stage for task in self._tasks.values()):
            return []
        holders = [m for m in self.roster.members.values() if stage in m.loaded or stage in m.loading]
        for member in holders:
            member.loaded.discard(stage)
        return [Unload(member.number, stage) for member in holders if stage not in member.loading]

    def _shortage(self, stage: int) -> str:
        """Why nobody takes a stage: it fits none alone, or none beside what each has."""
        members = self.roster.members.values()
        shortages = [member.capacity.shortage([self._demands[stage]]) for member in members]
        return next((shortage for shortage in shortages if shortage), "") or self._crowded(stage)

    def _crowded(self, stage: int) -> str:
        for member in self.roster.members.values() if self.roster.resident else ():
            shortage = member.capacity.shortage(self._demands[number] for number in {*member.assigned, stage})
            if shortage is not None and member.assigned:
                beside = ", ".join(map(str, sorted(member.assigned)))
                stages = "stage" if len(member.assigned) == 1 else "stages"
                return f"together with {stages} {beside} {shortage}{self._too_few()}"
        return "there is no worker with room for it"

    def _too_few(self) -> str:
        """That more workers are needed, where all stages together are more than all workers take."""
        capacities = [member.capacity for member in self.roster.members.values()]
        for name in ("bytes", "parameters", "layers"):
            needed = sum(getattr(self._demands[stage], name) for stage in self.route.active)
            rooms = [getattr(capacity, name) for capacity in capacities]
            if None not in rooms and needed > sum(rooms):
                workers = "1 worker takes" if len(rooms) == 1 else f"{len(rooms)} workers take"
                return f" (all stages need {needed} {name}, and {workers} {sum(rooms)}: more workers are needed)"
        return ""
