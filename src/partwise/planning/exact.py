"""The solver that proves: the dynamic program over ideals, one objective after the other."""

from __future__ import annotations

from collections.abc import Sequence

from partwise.planning.arrays import Ints
from partwise.planning.assign_devices import assign
from partwise.planning.build_instance import Types, build, types_of
from partwise.planning.demand import Demand, Solution
from partwise.planning.evaluator import Assignment
from partwise.planning.goals import GOALS, Join
from partwise.planning.ideals import Answer, Placed, solve_ideals
from partwise.planning.orders import orders
from partwise.planning.problem import Problem
from partwise.planning.records import Bound, Objective
from partwise.units import number_of

__all__ = ["solve_exactly"]

_IDEALS = 6_000  # of a block, for each step of effort; 60,000 by default: some 2 s
_ROUNDING = 1e-9  # relative; loads are sums of floats in another order than the evaluator's


def solve_exactly(problem: Problem, demand: Demand) -> Solution | None:
    """The best of all acyclic partitions where the graph has few enough ideals; else the best found."""
    pinned = set(problem.homes.values())
    types = types_of(problem.cluster, demand.limits.stages or len(problem.units), pinned)
    best: tuple[Answer, Solution] | None = None
    caps = list(demand.caps)
    for level, objective in enumerate(demand.objectives):
        found = _solve(problem, demand, types, objective, caps)
        if found is None:
            break  # by rounding alone: the levels before have an answer
        solution = _solution(problem, demand, types, found)
        if best is None or solution.values[: level + 1] <= _loose(best[1].values[: level + 1]):
            best = (best[0] if best else found), solution
        if GOALS[objective].join is Join.SUM:
            break
        caps.append((objective, found.value * (1 + _ROUNDING)))
    if best is None:
        return None
    answer, solution = best
    return Solution(
        assignment=solution.assignment,
        devices=solution.devices,
        values=solution.values,
        how="ideals" if answer.proved else "prefixes",
        bound=_bound(demand, answer),
    )


def _loose(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(value * (1 + _ROUNDING) for value in values)


def _solve(
    problem: Problem, demand: Demand, types: Types, objective: Objective, caps: Sequence[tuple[Objective, float]]
) -> Answer | None:
    instance = build(problem, types, demand.limits, demand.blend or objective, caps)

    def check(stages: Sequence[Placed]) -> list[int]:
        nodes, devices = _nodes(problem, stages), [types.members[stage.kind][0].name for stage in stages]
        return demand.evaluator.overfull(demand.evaluator.price(nodes, devices)[0], demand.limits)

    limited = any(room < float("inf") for room in instance.room)

    def others() -> list[Ints]:
        return [order for _, order in orders(problem, demand.effort, demand.seed)]

    return solve_ideals(instance, most=_IDEALS * demand.effort, others=others, check=check if limited else None)


def _solution(problem: Problem, demand: Demand, types: Types, answer: Answer) -> Solution:
    nodes = _nodes(problem, answer.stages)
    devices = assign(demand.evaluator, nodes, [types.members[s.kind] for s in answer.stages], demand.objectives)
    values = demand.evaluator.values(nodes, devices, demand.objectives)
    return Solution(assignment=nodes, devices=devices, values=values, how="ideals")


def _nodes(problem: Problem, stages: Sequence[Placed]) -> Assignment:
    return tuple(tuple(sorted(n for unit in stage.units for n in problem.units[unit])) for stage in stages)


def _bound(demand: Demand, answer: Answer) -> Bound | None:
    stages = demand.limits.stages
    plans = f"acyclic partitions into {number_of(stages, 'stage')}" if stages else "acyclic partitions"
    if answer.proved:
        return Bound(value=answer.bound, origin="search over all ideals", plans=plans)
    if answer.bound <= 0:
        return None
    is_sum = GOALS[demand.objectives[0]].join is Join.SUM
    origin = "what every node pays at least" if is_sum else "slack of the stages without the nodes that float"
    return Bound(value=answer.bound, origin=origin, plans=plans)
