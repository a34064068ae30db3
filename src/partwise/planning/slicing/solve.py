"""The solver that slices: the best slicing of the best of several topological orders."""

from __future__ import annotations

import itertools

from partwise.hardware import Cluster
from partwise.planning.demand import Demand, Solution, is_less
from partwise.planning.orders import orders
from partwise.planning.problem import Problem
from partwise.planning.records import Objective
from partwise.planning.slicing.boundaries import boundaries
from partwise.planning.slicing.dynamic_program import best_slices
from partwise.planning.slicing.line import Line
from partwise.planning.slicing.room import Room

__all__ = ["solve_slices"]


def solve_slices(problem: Problem, demand: Demand) -> Solution | None:
    """The best slicing of the best of several topological orders."""
    best: Solution | None = None
    for name, order in orders(problem, demand.effort, demand.seed):
        line = Line(problem, order)
        room, stages = Room(line, demand.limits), demand.limits.stages
        kept = boundaries(line, room, stages)
        chosen = best_slices(line, room, kept, _sliced(demand), stages)
        if chosen is None:
            continue
        assignment = tuple(tuple(line.nodes(i, j)) for i, j in itertools.pairwise(chosen))
        devices = _first_members(problem.cluster, len(assignment))
        if devices is None:
            continue
        values = demand.evaluator.values(assignment, devices, demand.objectives)
        if best is None or is_less(values, best.values):
            how, notes = f"slices of {name}", _notes(line, len(kept))
            best = Solution(assignment=assignment, devices=devices, values=values, how=how, notes=notes)
    return best


def _sliced(demand: Demand) -> tuple[Objective, ...]:
    """The objectives that the DP is to solve: a fixed number of stages leaves no choice of it."""
    if demand.limits.stages is None:
        return demand.objectives
    return tuple(o for o in demand.objectives if o is not Objective.STAGES) or (Objective.BALANCE,)


def _notes(line: Line, kept: int) -> tuple[str, ...]:
    if kept == line.length + 1:
        return ()
    return (f"of {line.length - 1} cut positions the {kept - 2} with the least traffic near them were tried",)


def _first_members(cluster: Cluster, stages: int) -> tuple[str, ...] | None:
    """A member for each stage, in their order; None where there are too few."""
    if cluster.is_open:
        return (cluster.members[0].name,) * stages
    names = tuple(member.name for member in cluster.members)
    return names[:stages] if len(names) >= stages else None
