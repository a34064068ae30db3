"""The table of solvers, and which of them answer when nobody says."""

from __future__ import annotations

from dataclasses import replace

from partwise.errors import InputError
from partwise.hardware import Cluster
from partwise.planning.exact import solve_exactly
from partwise.planning.goals import GOALS, Join
from partwise.planning.islands import solve_by_islands
from partwise.planning.least_memory import solve_least_memory
from partwise.planning.pools import solve_in_pools
from partwise.planning.problem import Problem
from partwise.planning.records import Objective
from partwise.planning.slices import TOLERANCE
from partwise.planning.solvers import Demand, Solution, Solver, is_less, solve_slices

__all__ = ["SOLVERS", "solve"]

SOLVERS: dict[str, Solver] = {"slices": solve_slices, "ideals": solve_exactly}

_MOST_STAGES = 257  # the exact solver keeps a state for each number of stages at every ideal


def solve(problem: Problem, demand: Demand, name: str) -> Solution | None:
    """The answer of one solver, or the best of those that fit the question; the devices' shared memory is kept.

    The exact solver answers unless it would have to choose the number of stages freely, or a very large one is fixed.
    Slicing also knows the later ones of several objectives where the first is a sum, and helps where the graph has
    too many ideals; it knows equal devices only, and so no pinned node.
    """
    if Objective.BALANCE_MEMORY in demand.objectives:
        return solve_least_memory(problem, demand, lambda problem, demand: solve(problem, demand, name))
    return solve_by_islands(problem, demand, lambda problem, demand: _solve_in_pools(problem, demand, name))


def _solve_in_pools(problem: Problem, demand: Demand, name: str) -> Solution | None:
    if problem.cluster.pools:
        return solve_in_pools(problem, demand, lambda problem, demand: _solve(problem, demand, name))
    return _solve(problem, demand, name)


def _solve(problem: Problem, demand: Demand, name: str) -> Solution | None:
    if name == "slices" and problem.homes:
        raise InputError("solver `slices`", "knows equal devices only, and nodes are pinned", expected="auto or ideals")
    if name != "auto":
        return SOLVERS[name](problem, demand)
    exact = solve_exactly(problem, demand) if _is_for_ideals(problem.cluster, demand) else None
    if exact is not None and _is_proved(exact) and not _has_later_levels(demand):
        return exact
    if exact is None and not problem.cluster.is_open:
        return None
    is_sliced = problem.cluster.is_uniform and not problem.homes and not demand.caps
    sliced = solve_slices(problem, demand) if is_sliced else None
    if exact is None or sliced is None:
        return exact or sliced
    best = sliced if is_less(sliced.values, exact.values) else exact
    return replace(best, bound=exact.bound)


def _is_for_ideals(cluster: Cluster, demand: Demand) -> bool:
    if not cluster.is_open:
        return True
    stages = demand.limits.stages
    return stages is not None and stages < _MOST_STAGES


def _is_proved(solution: Solution) -> bool:
    return solution.bound is not None and solution.values[0] <= solution.bound.value * (1 + TOLERANCE)


def _has_later_levels(demand: Demand) -> bool:
    return len(demand.objectives) > 1 and GOALS[demand.objectives[0]].join is Join.SUM
