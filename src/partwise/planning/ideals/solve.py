"""The best chain of ideals and a lower bound: a quick bound first, then the exact search just above it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from partwise.planning.ideals.instance import Instance
from partwise.planning.ideals.lattice import Lattice, lattice
from partwise.planning.ideals.reach import Reach, Vectors
from partwise.planning.ideals.search import Chain, Search, Step
from partwise.planning.problem import Ints

__all__ = ["Answer", "Placed", "solve_ideals"]

_HALVINGS = 24
_ENOUGH = 1e-4  # relative distance of the ends at which halving stops
_STEPS = (1.001, 1.01, 1.05, 1.2, 1.6, 2.5, 6.0, np.inf)  # limits tried, in multiples of the bound
_SAME = 1e-9  # relative; loads are sums of floats in another order than the evaluator's


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One stage of an answer."""

    kind: int
    """Which type of device."""
    units: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The best placement found, and what none can beat."""

    stages: tuple[Placed, ...]
    value: float
    bound: float
    proved: bool
    """Whether no acyclic partition is better (by more than rounding)."""


Check = Callable[[Sequence[Placed]], Collection[int]]
"""Which stages of a placement do not fit after all."""


def solve_ideals(
    instance: Instance, *, most: int, others: Sequence[Ints] = (), check: Check | None = None
) -> Answer | None:
    """The placement with the smallest bottleneck; None where no placement keeps the limits.

    Args:
        instance: what is placed.
        most: ideals that a block may have; where it has more, prefixes of the orders stand in, nothing is proved.
        others: topological orders to take them from, beside the first.
        check: finds stages that need more memory than their lower estimate; None: the estimate is exact.
    """
    found = lattice(instance, most, others)
    reach = Reach(found, instance.load, instance.held, instance.room)
    counts = instance.counts
    vectors, exactly = Vectors(counts), instance.exactly is not None
    bound = _bound(reach, vectors, exactly=exactly)
    search, forbidden = Search(instance, found), set[Step]()
    for factor in _STEPS:
        limit = bound * factor if bound else np.inf
        kept = reach.forward(vectors, limit, exactly=exactly) & reach.backward(vectors, limit, exactly=exactly)
        chain = search.best(vectors, kept, limit, forbidden)
        while chain is not None and check is not None:
            stages = _stages(found, chain)
            broken = [chain.steps[index] for index in check(stages)]
            if not broken:
                break
            forbidden.update(broken)
            chain = search.best(vectors, kept, limit, forbidden)
        if chain is not None:
            proved = found.complete
            return Answer(
                stages=_stages(found, chain), value=chain.value, bound=chain.value if proved else bound, proved=proved
            )
    return None


def _bound(reach: Reach, vectors: Vectors, *, exactly: bool) -> float:
    """The largest limit found below which the quick test reaches no whole [s]."""

    def is_reached(limit: float) -> bool:
        return bool(reach.forward(vectors, limit, exactly=exactly)[-1, -1])

    totals = reach.work[: len(vectors.counts), -1]
    low, high = 0.0, float(totals.min())
    if not is_reached(high):
        low, high = high, high * 2 + 1e-9
        while not is_reached(high) and high < totals.sum() * 1e6 + 1:
            low, high = high, high * 4
    for _ in range(_HALVINGS):
        if high - low <= _ENOUGH * high:
            break
        middle = (low + high) / 2
        low, high = (low, middle) if is_reached(middle) else (middle, high)
    return low


def _stages(found: Lattice, chain: Chain) -> tuple[Placed, ...]:
    stages: list[Placed] = []
    for start, end, kind in chain.steps:
        units = np.setdiff1d(found.units_of(end), found.units_of(start), assume_unique=True)
        stages.append(Placed(kind=kind, units=tuple(units.tolist())))
    return tuple(stages)
