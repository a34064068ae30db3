"""What a solver is asked for and what it answers, and the first one: slicing one topological order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from partwise.hardware import Cluster
from partwise.planning.boundaries import boundaries
from partwise.planning.evaluator import Assignment, Evaluator
from partwise.planning.line import Line
from partwise.planning.orders import orders
from partwise.planning.problem import Problem
from partwise.planning.records import Bound, Limits, Objective
from partwise.planning.room import Room
from partwise.planning.slices import TOLERANCE, best_slices

__all__ = ["Demand", "Solution", "Solver", "is_less", "solve_slices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a solver is asked for."""

    limits: Limits
    objectives: tuple[Objective, ...]
    effort: int
    """In steps of the solver's own: orders tried."""
    seed: int
    evaluator: Evaluator
    caps: tuple[tuple[Objective, float], ...] = ()
    """Objectives whose price no stage may exceed; only `ideals` keeps them."""
    blend: tuple[tuple[float, Objective], ...] = ()
    """Weights of the objectives, all of which add up, where one sum is made small; only `ideals` knows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What a solver found."""

    assignment: Assignment
    devices: tuple[str, ...]
    """For each stage the name of its member of the cluster."""
    values: tuple[float, ...]
    how: str
    bound: Bound | None = None
    """Of the first objective, where the solver proves one."""
    notes: tuple[str, ...] = ()


Solver = Callable[[Problem, Demand], Solution | None]
"""None: nothing found that keeps the limits."""


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


def is_less(values: Sequence[float], others: Sequence[float]) -> bool:
    """Whether the first level that differs is smaller."""
    for value, other in zip(values, others, strict=True):
        if abs(value - other) > TOLERANCE * max(abs(value), abs(other)):
            return value < other
    return False


def _first_members(cluster: Cluster, stages: int) -> tuple[str, ...] | None:
    """A member for each stage, in their order; None where there are too few."""
    if cluster.is_open:
        return (cluster.members[0].name,) * stages
    names = tuple(member.name for member in cluster.members)
    return names[:stages] if len(names) >= stages else None
