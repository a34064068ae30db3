"""A lower bound where units float: what the stages of the core leave free must take up the work of the floats.

Below a limit a stage of the core leaves slack, limit − load. Along a chain of the core's ideals the slack adds up: at
each ideal no more of it counts than the floats released there, and no less must be there than the floats due. The most
slack of any chain to each ideal is a dynamic program over exact loads of pairs; where it ends without enough of it, no
plan stays below the limit. Floats are liquid here and cost no transfers of their own, so the bound holds for all plans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Floats, Ints
from partwise.planning.ideals.floats import Core
from partwise.planning.ideals.loads import Loads

__all__ = ["slack_bound"]

_HALVINGS = 12
_ENOUGH = 5e-4  # relative distance of the ends at which halving stops
_CELLS = 4_000_000  # stages priced at once
_MOST_CELLS = 30_000_000  # stages kept; 360 MB
_ROUNDING = 1e-9  # relative; sums of floats in another order


@dataclass(frozen=True, slots=True)
class _Row:
    """The stages that begin at one ideal, and what they pay."""

    start: int
    ends: Ints
    load: Floats


def slack_bound(core: Core, stages: int, low: float, value: float) -> float:
    """The largest limit found below which no plan stays, between two.

    Args:
        core: with floats.
        stages: devices of the one type.
        low: a bound that is known.
        value: of the best plan known.
    """
    rows = _rows(core, value)
    if rows is None or _is_reached(core, rows, stages, low):
        return low
    high = value
    for _ in range(_HALVINGS):
        if high - low <= _ENOUGH * high:
            break
        middle = (low + high) / 2
        low, high = (low, middle) if _is_reached(core, rows, stages, middle) else (middle, high)
    return low * (1 - _ROUNDING)


def _rows(core: Core, limit: float) -> list[_Row] | None:
    """All stages of the core whose load is below a limit; None where they are too many."""
    found: list[_Row] = []
    cells = 0
    for row in _priced(core, limit):
        found.append(row)
        cells += len(row.ends)
        if cells > _MOST_CELLS:
            return None
    return found


def _priced(core: Core, limit: float) -> Iterator[_Row]:
    lattice = core.lattice
    loads = Loads(lattice, core.instance.load)
    before = loads.work[0, lattice.starts[1:] - 1]  # at the end of each block
    for block in range(len(lattice.blocks) + 1):
        first, after = int(lattice.starts[block]), int(lattice.starts[block + 1])
        most = float(loads.work[0, first:after].max()) + limit
        end = int(lattice.starts[min(int(np.searchsorted(before, most, "right")) + 1, len(before))])
        ends, step = np.arange(first, end), max(1, _CELLS // max(1, end - first))
        for start in range(first, after, step):
            starts = np.arange(start, min(start + step, after))
            price = loads.prices(block, starts, ends)[0]
            fits = loads.contains(block, starts, ends) & (price <= limit)
            for row, chosen in enumerate(fits):
                yield _Row(int(starts[row]), ends[chosen], price[row, chosen])


def _is_reached(core: Core, rows: list[_Row], stages: int, limit: float) -> bool:
    """Whether some chain of the core's ideals leaves enough slack below a limit.

    Ideals are left in their order, each after all smaller ones, with any number of stages used.
    """
    slack = np.full((stages + 1, len(core.lattice)), -np.inf)
    slack[0, 0] = 0.0
    due = core.due * (1 - _ROUNDING)
    for row in rows:
        here = slack[:, row.start]
        for used in range(stages):  # a stage of floats alone
            here[used + 1] = max(here[used + 1], min(here[used] + limit, core.released[row.start]))
        free = limit - row.load
        chosen = free >= 0
        if not np.isfinite(here[:-1]).any() or not chosen.any():
            continue
        ends = row.ends[chosen]
        more = np.minimum(here[:-1, None] + free[chosen], core.released[ends])
        more[more < due[ends]] = -np.inf
        slack[1:, ends] = np.maximum(slack[1:, ends], more)
    return bool(slack[-1, -1] > -np.inf)
