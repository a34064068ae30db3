"""A weighted sum of objectives, each divided by its own optimum.

Prices that add up are one channel: a weighted sum of sums is solved as one objective. A largest price is limited
step by step instead (the epsilon-constraint method: Haimes, Lasdon, Wismer, 1971): the best of the rest below a limit
is a value, and a bound for every plan whose largest price lies between two limits. The interval with the least bound
is halved next, until it meets the best value or the steps are used up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from math import fsum, inf

from partwise.planning.bounds import find_bound
from partwise.planning.demand import Demand, Solution, Solver
from partwise.planning.exact import solve_exactly
from partwise.planning.goals import GOALS, Join
from partwise.planning.least_memory import least_peak
from partwise.planning.pools import solve_in_pools
from partwise.planning.problem import Problem
from partwise.planning.records import Blend, Bound, Objective
from partwise.units import number_of

__all__ = ["Blended", "solve_blend"]

_STEPS = 2  # limits asked about, for each step of effort
_SAME = 1e-9  # relative; values that differ by rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Blended:
    """The best plan found for a weighted sum."""

    solution: Solution
    """Its values are those of the objectives, in the order of the blend."""
    bound: Bound
    """Of the weighted sum."""
    scales: tuple[float, ...]
    """What each objective is divided by."""
    notes: tuple[str, ...]


def solve_blend(problem: Problem, demand: Demand, blend: Blend, solve: Solver) -> Blended | None:
    """The best plan for a weighted sum; None: no plan keeps the limits.

    Args:
        problem: the graph as arrays.
        demand: the limits; its objectives are those of the blend.
        blend: objectives and weights.
        solve: answers for one objective alone.
    """
    alone = [solve(problem, replace(demand, objectives=(share.objective,))) for share in blend.shares]
    found = [solution for solution in alone if solution is not None]
    if len(found) < len(alone):
        return None
    scales, notes = _scales(found, demand)
    weights = {s.objective: s.weight / scale for s, scale in zip(blend.shares, scales, strict=True)}
    least = {s.objective: _least(problem, demand, s.objective, one) for s, one in zip(blend.shares, found, strict=True)}
    hunt = _Hunt(problem, demand, weights, least, solve)
    for solution in found:
        hunt.offer(solution)
    bound = hunt.run()
    assert hunt.best is not None  # there is one for each objective alone
    return Blended(solution=hunt.best, bound=bound, scales=scales, notes=notes)


def _scales(found: list[Solution], demand: Demand) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """What each objective is divided by: its optimum, or where that is 0 the least that another's best plan has."""
    table = [demand.evaluator.values(s.assignment, s.devices, demand.objectives) for s in found]
    scales, notes = list[float](), list[str]()
    for number, objective in enumerate(demand.objectives):
        best = min(row[number] for row in table)
        others = [row[number] for row in table if row[number] > 0]
        scales.append(best if best > 0 else min(others, default=1.0))
        why = "its own best value" if best > 0 else "its least value in another's best plan, since its own best is 0"
        notes.append(f"{objective} is divided by {scales[-1]:.6g}, {why}")
    return tuple(scales), tuple(notes)


def _least(problem: Problem, demand: Demand, objective: Objective, alone: Solution) -> float:
    """What no plan is below, for one objective alone."""
    if alone.bound is not None:
        return alone.bound.value
    if objective is Objective.BALANCE_MEMORY:
        return float(least_peak(problem, demand.limits))
    return float(find_bound(problem, demand.limits, objective, demand.limits.stages).value)


@dataclass(frozen=True, slots=True, order=True)
class _Box:
    """Plans whose largest prices lie between two corners."""

    bound: float
    """No plan of the box has a smaller weighted sum."""
    number: int
    rest: float
    """The weighted least of what is not limited, under the upper corner."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    values: tuple[float, ...]
    """Largest prices of the plan that has that least."""


class _Hunt:
    """Best first over boxes."""

    def __init__(
        self,
        problem: Problem,
        demand: Demand,
        weights: Mapping[Objective, float],
        least: Mapping[Objective, float],
        solve: Solver,
    ) -> None:
        self.problem, self.demand, self.weights, self.least, self.solve = problem, demand, weights, least, solve
        self.best: Solution | None = None
        self.value = inf
        self._sums = tuple(o for o in demand.objectives if GOALS[o].join is Join.SUM)
        largest = sorted((o for o in demand.objectives if o not in self._sums), key=_is_memory)
        self._main = None if self._sums else largest[0]
        self._limited = tuple(largest if self._sums else largest[1:])
        self._waiting: list[_Box] = []
        self._asked, self._proved = 0, True

    def offer(self, solution: Solution) -> None:
        """A plan from anywhere: kept if it is the best so far."""
        values = self.demand.evaluator.values(solution.assignment, solution.devices, self.demand.objectives)
        value = fsum(self.weights[o] * v for o, v in zip(self.demand.objectives, values, strict=True))
        if value < self.value * (1 - _SAME) or self.best is None:
            self.best, self.value = replace(solution, values=values), value

    def run(self) -> Bound:
        """Halve the box of least bound until it meets the best value, or the steps are used up."""
        self._ask(tuple(self.least[o] for o in self._limited), (inf,) * len(self._limited))
        while self._waiting and self._waiting[0].bound < self.value * (1 - _SAME):
            box = self._waiting[0]
            gaps = [self.weights[o] * (v - low) for o, v, low in zip(self._limited, box.values, box.low, strict=True)]
            if max(gaps, default=0.0) <= self.value * _SAME or self._asked > _STEPS * self.demand.effort:
                break
            self._split(heappop(self._waiting), gaps.index(max(gaps)))
        return self._bound()

    def _split(self, box: _Box, axis: int) -> None:
        middle = (box.low[axis] + box.values[axis]) / 2
        low, high = list(box.low), list(box.high)
        low[axis], high[axis] = middle, middle
        self._ask(box.low, tuple(high))
        self._push(box.rest, (tuple(low), box.high), box.values)

    def _ask(self, low: tuple[float, ...], high: tuple[float, ...]) -> None:
        """The best of the rest in a box, if it has a plan."""
        self._asked += 1
        found = self._relaxed(dict(zip(self._limited, high, strict=True)))
        if found is None:
            return
        self._proved &= found.how.startswith("ideals")
        self.offer(found)
        rest = 0.0 if found.bound is None else found.bound.value
        values = self.demand.evaluator.values(found.assignment, found.devices, self._limited)
        self._push(rest, (low, high), values)

    def _push(
        self, rest: float, corners: tuple[tuple[float, ...], tuple[float, ...]], values: tuple[float, ...]
    ) -> None:
        low, high = corners
        bound = fsum([rest, *(self.weights[o] * at for o, at in zip(self._limited, low, strict=True))])
        heappush(self._waiting, _Box(bound, self._asked + len(self._waiting), rest, low, high, values))

    def _relaxed(self, caps: Mapping[Objective, float]) -> Solution | None:
        """The best plan for the rest whose largest prices keep these caps; its bound is weighted."""
        limits, memory = self.demand.limits, caps.get(Objective.BALANCE_MEMORY, inf)
        if memory < inf:
            limits = replace(limits, memory_bytes=int(min(memory, limits.room_bytes)))
        kept = tuple((o, cap) for o, cap in caps.items() if cap < inf and o is not Objective.BALANCE_MEMORY)
        demand = replace(self.demand, limits=limits, caps=kept)
        if self._main is not None:
            found = self.solve(self.problem, replace(demand, objectives=(self._main,)))
            bound = found and found.bound
            return found and replace(
                found, bound=bound and replace(bound, value=bound.value * self.weights[self._main])
            )
        demand = replace(demand, objectives=self._sums, blend=tuple((self.weights[o], o) for o in self._sums))
        if self.problem.cluster.pools:
            return solve_in_pools(self.problem, demand, _blended)
        return _blended(self.problem, demand)

    def _bound(self) -> Bound:
        """The least of all boxes where each question was answered with a proof, and of the objectives alone."""
        stages = self.demand.limits.stages
        plans = f"acyclic partitions into {number_of(stages, 'stage')}" if stages else "acyclic partitions"
        alone = fsum(self.weights[o] * value for o, value in self.least.items())
        boxes = min(self.value, min((box.bound for box in self._waiting), default=self.value))
        if self._proved and boxes > alone and not self.problem.cluster.pools:
            how = f"limits on the largest prices, {self._asked} searches" if self._limited else "search over all ideals"
            return Bound(value=boxes, origin=how, plans=plans)
        return Bound(value=min(alone, self.value), origin="weighted sum of the bounds of each alone", plans=plans)


def _is_memory(objective: Objective) -> bool:
    return objective is Objective.BALANCE_MEMORY


def _blended(problem: Problem, demand: Demand) -> Solution | None:
    """The best weighted sum of sums, valued as such."""
    found = solve_exactly(problem, demand)
    if found is None:
        return None
    value = fsum(weight * v for (weight, _), v in zip(demand.blend, found.values, strict=True))
    return replace(found, values=(value,))
