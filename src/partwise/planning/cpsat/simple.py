"""Bounds for every placement that need no search: transfers are free, and any units may share a device.

Divisible: for weights λ ≥ 0 of the device types with Σ λ·count = 1, some device's load is at least Σ over units of
the smallest λ·work, since a weighted mean of loads is no more than the largest. The best weights are the duals of a
linear program (GLOP); whatever they are, the sum is a bound. **Source**: linear programming duality.

Pigeonhole: of the q·D + 1 largest units some device of D holds q + 1, at least the q + 1 smallest of them.
**Source**: Dell'Amico and Martello, "Optimal Scheduling of Tasks on Identical Parallel Processors", 1995 (L2-like).

Both leave out the types of devices on which a unit alone is slower than a placement known already.
"""

from __future__ import annotations

from itertools import combinations
from math import fsum, inf
from typing import Any

import numpy as np

from partwise.extras import require
from partwise.planning.arrays import Floats
from partwise.planning.ideals import Instance

__all__ = ["simple_bound"]

_ROUNDING = 1e-12  # relative; what sums of floats may be off by


def simple_bound(instance: Instance, known: float = inf) -> float:
    """No placement, contiguous or not, has a smaller value.

    Args:
        instance: what is placed.
        known: the value of a placement; the bound is never above it.
    """
    work = np.stack([channel.work for channel in instance.load])
    if instance.adds:
        return min(known, fsum(work.min(axis=0).tolist()) * (1 - _ROUNDING))
    least = max(_divisible(work, instance.counts, known), _pigeonhole(work, instance.counts, known))
    return min(known, least * (1 - _ROUNDING))


def _divisible(work: Floats, counts: tuple[int, ...], known: float) -> float:
    allowed = np.where(work > known, inf, work)
    weights = np.maximum(_duals(allowed, counts), 0)
    total = float(weights @ np.array(counts))
    if total <= 0 or not np.isfinite(allowed).any(axis=0).all():
        return 0.0
    priced = np.where(np.isfinite(allowed), weights[:, None] * np.minimum(allowed, 1e300), inf)
    return fsum(priced.min(axis=0).tolist()) / total


def _duals(work: Floats, counts: tuple[int, ...]) -> Floats:
    """[types] The price of each type's time in the divisible placement."""
    unit = float(work.min(axis=0).max())
    if len(counts) == 1 or unit <= 0:
        return np.ones(len(counts))
    builder: Any = require("ortools.linear_solver.python.model_builder")
    model = builder.Model()
    largest = model.new_num_var(0, inf, "largest")
    spent: list[list[Any]] = [[] for _ in counts]
    for amounts in (work / unit).T.tolist():
        shares = [model.new_num_var(0, float(amount < inf), "") for amount in amounts]
        model.add(sum(shares) == 1)
        for kind, (share, amount) in enumerate(zip(shares, amounts, strict=True)):
            spent[kind].append(share * min(amount, 1e9))
    rows = [model.add(sum(each) - count * largest <= 0) for each, count in zip(spent, counts, strict=True)]
    model.minimize(largest)
    solver = builder.Solver("glop")
    if solver.solve(model) != builder.SolveStatus.OPTIMAL:
        return np.ones(len(counts))  # any weights give a bound
    return np.array([-solver.dual_value(row) for row in rows])


def _pigeonhole(work: Floats, counts: tuple[int, ...], known: float) -> float:
    best = 0.0
    kinds = range(len(counts))
    for chosen in (list(c) for size in range(1, len(counts) + 1) for c in combinations(kinds, size)):
        others = [kind for kind in kinds if kind not in chosen]
        bound_here = (work[others] > known).all(axis=0)
        largest = np.sort(work[chosen][:, bound_here].min(axis=0))[::-1]
        devices = sum(counts[kind] for kind in chosen)
        for held in range(1, (len(largest) - 1) // devices + 1) if devices else ():
            best = max(best, fsum(largest[held * devices - held : held * devices + 1].tolist()))
    return best
