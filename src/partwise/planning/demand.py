"""What a solver is asked for and what it answers, and which of two answers is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from partwise.planning.evaluator import Assignment, Evaluator
from partwise.planning.problem import Problem
from partwise.planning.records import Bound, Limits, Objective

__all__ = ["TOLERANCE", "Demand", "Solution", "Solver", "is_less"]

TOLERANCE = 1e-9
"""Relative difference below which two values of an objective are equal."""


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


def is_less(values: Sequence[float], others: Sequence[float]) -> bool:
    """Whether the first level that differs is smaller."""
    for value, other in zip(values, others, strict=True):
        if abs(value - other) > TOLERANCE * max(abs(value), abs(other)):
            return value < other
    return False
