"""The largest peak of a stage made small: bisection on the memory limit, with another solver as the question.

A plan under a limit has a peak of its own, which is the next value; a limit that no plan keeps is the next bound.
After several refusals the limit just below the best peak is asked about, since "no" there ends the search.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from partwise.planning.bounds import unit_working_bytes
from partwise.planning.demand import Demand, Solution, Solver
from partwise.planning.problem import Problem
from partwise.planning.records import Bound, Limits, Objective

__all__ = ["solve_least_memory"]

_STEPS = 4  # limits asked about, for each step of effort
_REFUSALS = 3  # in a row, then the best peak may be the least
_SAME = 1e-9  # relative; two values of an earlier objective that differ by rounding


def solve_least_memory(problem: Problem, demand: Demand, solve: Solver) -> Solution | None:
    """The best plan for objectives among which is `balance-memory`; None: no plan keeps the limits.

    Args:
        problem: the graph as arrays.
        demand: what is asked for.
        solve: answers for the other objectives.
    """
    place = demand.objectives.index(Objective.BALANCE_MEMORY)
    others = tuple(o for o in demand.objectives if o is not Objective.BALANCE_MEMORY) or (Objective.BALANCE,)
    last = replace(demand, objectives=others)
    asked = replace(demand, objectives=others[:place] or (Objective.BALANCE,))  # later levels wait for the least peak
    best = solve(problem, asked)
    if best is None:
        return None
    kept = [value * (1 + _SAME) for value in best.values[:place]]
    first_bound = best.bound
    is_proved = first_bound is not None and best.values[0] <= first_bound.value * (1 + _SAME)
    is_proved &= not problem.cluster.pools
    low, peak, refused = least_peak(problem, demand.limits), _peak(best, demand), 0
    for _ in range(_STEPS * demand.effort):
        if low >= peak:
            break
        target = peak - 1 if refused == _REFUSALS else (low + peak - 1) // 2
        found = solve(problem, replace(asked, limits=replace(demand.limits, memory_bytes=target)))
        if found is None or any(value > most for value, most in zip(found.values[:place], kept, strict=True)):
            low, refused = target + 1, refused + 1
        else:
            best, peak, refused = found, _peak(found, demand), 0
    if asked != last:
        limits = replace(demand.limits, memory_bytes=int(min(peak, demand.limits.room_bytes)))
        best = solve(problem, replace(last, limits=limits)) or best
    values = demand.evaluator.values(best.assignment, best.devices, demand.objectives)
    bound = first_bound if place else _bound(problem, demand, first_bound if is_proved else None, (low, peak))
    return replace(best, values=values, bound=bound, how=f"{best.how}, memory halved")


def least_peak(problem: Problem, limits: Limits) -> int:
    """Bytes that the largest stage of any plan needs at least: some unit alone, or all weights and K/V shared out."""
    need = unit_working_bytes(problem)
    np.add.at(need, problem.holds.unit, problem.weight_bytes[problem.holds.item])
    members = len(problem.units) if problem.cluster.is_open else len(problem.cluster.members)
    weights = int(problem.weight_bytes[np.unique(problem.holds.item)].sum())
    shared = ceil(weights / (limits.stages or min(members, len(problem.units))))
    return problem.overhead_bytes + max(int(need.max()), shared)


def _peak(solution: Solution, demand: Demand) -> int:
    stages, _ = demand.evaluator.price(solution.assignment, solution.devices)
    return max(stage.peak_bytes for stage in stages)


def _bound(problem: Problem, demand: Demand, proved: Bound | None, ends: tuple[int, int]) -> Bound:
    """Of the peak: where each "no" was a proof, what it left."""
    low, peak = ends
    if proved is None:
        least = least_peak(problem, demand.limits)
        return Bound(value=float(least), origin="the largest unit, or the weights shared out", plans="all plans")
    return Bound(value=float(min(low, peak)), origin="no plan below this memory", plans=proved.plans)
