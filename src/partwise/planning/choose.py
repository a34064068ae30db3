"""The table of solvers, and which one answers when nobody says."""

from __future__ import annotations

from partwise.planning.exact import solve_exactly
from partwise.planning.problem import Problem
from partwise.planning.records import Objective
from partwise.planning.solvers import Demand, Solution, Solver, solve_slices

__all__ = ["SOLVERS", "solve"]

SOLVERS: dict[str, Solver] = {"slices": solve_slices, "ideals": solve_exactly}


def solve(problem: Problem, demand: Demand, name: str) -> Solution | None:
    """The answer of one solver, or of those that fit the question best."""
    if name != "auto":
        return SOLVERS[name](problem, demand)
    cluster = problem.cluster
    if cluster.is_open and demand.limits.stages is None:
        return solve_slices(problem, demand)
    found = solve_exactly(problem, demand)
    if found is not None and found.bound is not None and (len(demand.objectives) == 1 or not cluster.is_open):
        return found
    return found
