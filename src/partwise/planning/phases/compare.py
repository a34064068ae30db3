"""The ways to serve a request, priced alike: each phase's best division and each device alone, in pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from partwise.errors import InfeasibleError
from partwise.ir import Graph, contract
from partwise.planning.check import gap_of, violations
from partwise.planning.demand import Demand, Solution
from partwise.planning.evaluator import Assignment
from partwise.planning.phases.records import Alternative, Answer, PhasePlan
from partwise.planning.priced_plan import priced_plan
from partwise.planning.records import Bound, Objective, Plan
from partwise.planning.reserve import Reserve, kept_in
from partwise.planning.terms import Terms
from partwise.profiling import Phase, Profile
from partwise.units import format_bytes, format_seconds

__all__ = ["Comparison"]


@dataclass(frozen=True, slots=True)
class _Way:
    """One division of the model, as a plan of each phase."""

    name: str
    plans: Mapping[Phase, Plan]
    why_not: str

    @property
    def stages(self) -> int:
        return len(self.plans[Phase.DECODE].stages)


class Comparison:
    """The ways to serve a request, priced alike.

    Args:
        graph: captured with a cache.
        profiles: its costs in each phase.
        best: each phase's own plan.
        tokens: of each sequence, how many are read and how many made.
    """

    def __init__(
        self, graph: Graph, profiles: Mapping[Phase, Profile], best: Mapping[Phase, Plan], tokens: tuple[int, int]
    ) -> None:
        self.prompt, self.generate = tokens
        self.best, self.graph = best, graph
        terms = Terms.of(best[Phase.DECODE])
        self.cluster, self.contraction = terms.cluster, contract(graph)
        self.evaluators = {phase: terms.evaluator(self.contraction, made) for phase, made in profiles.items()}

    def answer(self) -> PhasePlan:
        """The best of all ways that fit."""
        ways = list(self._ways())
        rows = [(self._alternative(one, other), one, other) for one, other in self._pairs(ways)]
        rows.sort(key=lambda row: float("inf") if row[0].value is None else row[0].value)
        chosen, one, other = rows[0]
        if chosen.value is None:
            raise InfeasibleError("phases", f"no way serves both prefill and decode: {chosen.why_not}")
        bound = min(self._total(self.best[Phase.PREFILL].bound, self.best[Phase.DECODE].bound, 0.0), chosen.value)
        moved, seconds = self._transfer(one, other)
        reason = self._reason(chosen, [row[0] for row in rows])
        return PhasePlan(
            answer=chosen.answer,
            reason=reason,
            prompt=self.prompt,
            generate=self.generate,
            value=chosen.value,
            bound=bound,
            gap=gap_of(chosen.value, bound),
            transfer_bytes=moved,
            transfer_s=seconds,
            prefill=_noted(one.plans[Phase.PREFILL], f"{chosen.answer}: {reason}"),
            decode=_noted(other.plans[Phase.DECODE], f"{chosen.answer}: {reason}"),
            alternatives=tuple(_shown([row[0] for row in rows])),
        )

    def _ways(self) -> Iterator[_Way]:
        """Each phase's best division, and each kind of device alone; equal ones once."""
        seen: set[object] = set()
        for phase, made in self.best.items():
            nodes, devices = tuple(stage.nodes for stage in made.stages), tuple(stage.device for stage in made.stages)
            name = f"undivided on {devices[0]}" if len(nodes) == 1 else f"{phase}'s best division"
            if (nodes, devices) not in seen:
                seen.add((nodes, devices))
                yield self._way(name, nodes, devices)
        whole, kinds = (self.contraction.placed,), set[object]()
        for member in self.cluster.members:
            kind = member.device.name, member.memory_bytes, member.host, member.pool
            if (whole, (member.name,)) not in seen and kind not in kinds:
                yield self._way(f"undivided on {member.name}", whole, (member.name,))
            kinds.add(kind)

    def _way(self, name: str, nodes: Assignment, devices: tuple[str, ...]) -> _Way:
        plans, why_not = dict[Phase, Plan](), ""
        for phase, evaluator in self.evaluators.items():
            like = self.best[phase]
            demand = Demand(limits=like.limits, objectives=(Objective.LATENCY,), effort=1, seed=0, evaluator=evaluator)
            bound = Bound(value=like.bound, origin=like.bound_origin, plans=like.bound_plans)
            solution = Solution(assignment=nodes, devices=devices, values=(), how=like.solver)
            plans[phase] = priced_plan((solution, bound), demand, like.constraints)
            found = next(violations(plans[phase], evaluator), "")
            why_not = why_not or (found and f"{phase}: {found}")
        return _Way(name, plans, why_not)

    def _pairs(self, ways: Sequence[_Way]) -> Iterator[tuple[_Way, _Way]]:
        """Each way for both phases; where devices are given, each way to read with each other way to go on."""
        for way in ways:
            yield way, way
            if not self.cluster.is_open:
                yield from ((way, other) for other in ways if other is not way)

    def _alternative(self, one: _Way, other: _Way) -> Alternative:
        prefill, decode = one.plans[Phase.PREFILL].value, other.plans[Phase.DECODE].value
        _, moving = self._transfer(one, other)
        if one is other:
            why_not, name = one.why_not, one.name
            answer = Answer.WHOLE if one.stages == 1 else Answer.DIVIDED
        else:
            why_not = one.why_not or other.why_not or next(self._overfull(one, other), "")
            name, answer = f"prefill: {one.name}; decode: {other.name}", Answer.BY_PHASE
        value = None if why_not else self._total(prefill, decode, moving)
        return Alternative(name=name, answer=answer, value=value, prefill_s=prefill, decode_s=decode, transfer_s=moving,
                           why_not=why_not)  # fmt: skip

    def _total(self, prefill: float, decode: float, moving: float) -> float:
        """Seconds of a request; prefill makes the first token."""
        return prefill + (self.generate - 1) * decode + moving

    def _transfer(self, one: _Way, other: _Way) -> tuple[int, float]:
        """Bytes and seconds of the prompt's K/V: each buffer is a message, one after the other."""
        source, target = _homes(one.plans[Phase.PREFILL]), _homes(other.plans[Phase.DECODE])
        filled = kept_in(self.graph, one.plans[Phase.PREFILL].sizes, Reserve(cache=self.prompt)).nodes
        total, seconds = 0, 0.0
        for index, size in filled.items():
            if source[index] != target[index]:
                link = self.cluster.link(source[index], target[index])
                total, seconds = total + size, seconds + link.latency_s + size / link.bytes_per_s
        return total, seconds

    def _overfull(self, one: _Way, other: _Way) -> Iterator[str]:
        """Devices that would hold the weights of both plans and have no room for them."""
        need = self._memory(one, other)
        for name, size in need.items():
            room = min(one.plans[Phase.PREFILL].limits.room_bytes, self.cluster.member(name).room_bytes)
            if size > room:
                yield f"{name} needs {format_bytes(size)} for both phases, has {format_bytes(room)}"
        for pool, size in self.cluster.pooled(need.items()).items():
            if size > (room := self.cluster.pools[pool]):
                yield f"`{pool}` needs {format_bytes(size)} for both phases, has {format_bytes(room)}"

    def _memory(self, one: _Way, other: _Way) -> dict[str, int]:
        """Bytes of each device that holds the weights of its stages in both plans; the rest is there in turn."""
        sizes, found = self.graph.sizes(one.plans[Phase.PREFILL].sizes), dict[str, int]()
        weights: dict[str, set[str]] = {}
        for made in (one.plans[Phase.PREFILL], other.plans[Phase.DECODE]):
            for stage in made.stages:
                read = self.contraction.join(self.contraction.reads(index) for index in stage.nodes).weights
                weights.setdefault(stage.device, set()).update(read & self.graph.held.keys())
                found[stage.device] = max(found.get(stage.device, 0), stage.peak_bytes - stage.weight_bytes)
        return {name: rest + sum(sizes[weight] for weight in weights[name]) for name, rest in found.items()}

    def _reason(self, chosen: Alternative, others: Sequence[Alternative]) -> str:
        """Why this answer: what the best of the others would take."""
        texts = [f"{chosen.name}: {format_seconds(chosen.value or 0.0)}"]
        for answer in Answer:
            best = next((other for other in others if other.answer is answer), None)
            if answer is chosen.answer or best is None:
                continue
            if best.value is None:
                texts.append(f"{answer} does not fit ({best.why_not})")
            else:
                texts.append(f"{answer} takes {format_seconds(best.value)} at best ({best.name})")
        return "; ".join(texts)


def _noted(made: Plan, note: str) -> Plan:
    return replace(made, notes=(*made.notes, note))


def _homes(made: Plan) -> dict[int, str]:
    return {node: stage.device for stage in made.stages for node in stage.nodes}


def _shown(rows: Sequence[Alternative]) -> Iterator[Alternative]:
    """All that keep one plan, and the best that does not."""
    first = next((row for row in rows if row.answer is Answer.BY_PHASE), None)
    yield from (row for row in rows if row.answer is not Answer.BY_PHASE or row is first)
