"""The slicing DP: the best way to cut one line into intervals, exact for the boundaries kept.

best[s, j] = min over i < j of best[s - 1, i] ⊕ cost(i, j), where ⊕ adds for stages and traffic and takes the
larger for balance and throughput. A free number of stages needs no s: one row serves as source and target.
Several objectives are solved one after the other, each among the slicings that are best for those before it:
of a largest cost those whose every stage stays below it, of a sum those whose every step is tight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints
from partwise.planning.demand import TOLERANCE
from partwise.planning.goals import GOALS, Join
from partwise.planning.records import Objective
from partwise.planning.slicing.costs import columns
from partwise.planning.slicing.line import Line
from partwise.planning.slicing.room import Room

__all__ = ["best_slices"]

_ROUNDING = 1e-12  # relative; sums of floats in another order; too little to hide a byte of a terabyte
_PATIENCE = 20  # solutions tried with the quick test of room before the slow one is asked about every stage
_SUMS = frozenset(objective for objective, goal in GOALS.items() if goal.join is Join.SUM)


@dataclass(frozen=True, slots=True)
class _Table:
    """One solved objective.

    Attributes:
        best: [stages + 1, boundaries], or one row for a free number of stages.
        origin: index of the boundary where the last stage of that best begins.
    """

    objective: Objective
    best: Floats
    origin: Ints

    @property
    def limit(self) -> float:
        """The value reached, with the tolerance."""
        return float(self.best[-1, -1]) * (1 + TOLERANCE)

    def excludes(self, here: int, low: int, cost: Floats) -> Bits:
        """Which stages from `low`… to `here` no best slicing uses; [stages or 1, rows], or [rows]."""
        if self.objective not in _SUMS:
            return cost > self.limit
        before, after = _rows((len(self.best), self.best.shape[1]), here)
        return self.best[before, low:here] + cost > self.best[after, here, None] * (1 + _ROUNDING)


@dataclass(frozen=True, slots=True)
class _Gate:
    """Which stages have room.

    Attributes:
        first: for each boundary the earliest one where a stage that ends here may begin.
        closed: for some boundaries the later ones where it may not.
    """

    first: Ints
    closed: dict[int, Ints]


def best_slices(
    line: Line, room: Room, kept: Ints, objectives: Sequence[Objective], stages: int | None
) -> list[int] | None:
    """Boundaries 0, …, length of the best slicing; None where no slicing keeps the limits.

    Args:
        line: the problem in one order.
        room: the limits of a stage.
        kept: positions at which a stage may begin or end.
        objectives: in their order.
        stages: exactly so many, or None for any number.
    """
    if stages is not None and stages == len(kept) - 1:
        chosen = kept.tolist()
        return chosen if all(room.fits(i, j) for i, j in _pairs(chosen)) else None
    gate = _Gate(first=_first_rows(room, kept, room.may_fit), closed={})
    for attempt in count(1):
        chosen = _slice(line, kept, gate, objectives, stages)
        if chosen is None:
            return None
        broken = [(i, j) for i, j in _pairs(chosen) if not room.fits(int(kept[i]), int(kept[j]))]
        if not broken:
            return kept[chosen].tolist()
        if attempt == _PATIENCE:
            gate = _Gate(first=_first_rows(room, kept, room.fits), closed=gate.closed)
        for i, j in broken:
            _close(gate, room, kept, i, j)
    raise AssertionError  # `count` does not end


def _pairs(chosen: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(chosen))


def _first_rows(room: Room, kept: Ints, fits: Callable[[int, int], bool]) -> Ints:
    """For each boundary the first one from which a stage that ends here has room."""
    if not room.limited:
        return np.zeros(len(kept), np.int64)
    reach, here = np.zeros(len(kept), np.int64), 0
    for row, position in enumerate(kept.tolist()):
        here = room.reach(position, max(here, position), fits)
        reach[row] = here
    return np.searchsorted(reach, kept)


def _close(gate: _Gate, room: Room, kept: Ints, row: int, column: int) -> None:
    """Close the stages to a boundary, from the longest to one that was chosen, that have no room after all."""
    end, known = int(kept[column]), gate.closed.get(column, np.zeros(0, np.int64))
    rows = [other for other in range(int(gate.first[column]), row + 1) if other not in known]
    found = [other for other in rows if not room.fits(int(kept[other]), end)]
    gate.closed[column] = np.concatenate((known, np.array(found, np.int64)))


def _slice(
    line: Line, kept: Ints, gate: _Gate, objectives: Sequence[Objective], stages: int | None
) -> list[int] | None:
    solved: list[_Table] = []
    for objective in objectives:
        table = _solve(line, kept, gate, objective, solved, stages)
        if not np.isfinite(table.best[-1, -1]):
            return None
        solved.append(table)
    return _trace(solved[-1].origin)


def _solve(
    line: Line, kept: Ints, gate: _Gate, objective: Objective, solved: Sequence[_Table], stages: int | None
) -> _Table:
    shape = (1 if stages is None else stages + 1, len(kept))
    best, origin = np.full(shape, np.inf), np.zeros(shape, np.int64)
    best[0, 0] = 0
    join = np.add if objective in _SUMS else np.maximum
    sweeps = [columns(line, table.objective, kept, gate.first) for table in solved]
    for here, (cost, *others) in enumerate(zip(columns(line, objective, kept, gate.first), *sweeps, strict=True), 1):
        before, after = _rows(shape, here)
        low = max(here - len(cost), before.start)
        if low >= here:
            continue
        trial = join(best[before, low:here], cost[low - here :])
        for table, known in zip(solved, others, strict=True):
            np.copyto(trial, np.inf, where=table.excludes(here, low, known[low - here :]))
        if here in gate.closed:
            closed = gate.closed[here]
            trial[:, closed[closed >= low] - low] = np.inf
        row = trial.argmin(axis=1)
        best[after, here] = trial[np.arange(len(row)), row]
        origin[after, here] = low + row
    return _Table(objective, best, origin)


def _rows(shape: tuple[int, int], here: int) -> tuple[slice, slice]:
    """Rows before and after the stage that ends at `here`; the same one row where stages are not counted.

    Only so many stages are of use that as many positions lie before, and enough are left for the others.
    """
    if shape[0] == 1:
        return slice(0, 1), slice(0, 1)
    fewest, most = max(1, shape[0] - shape[1] + here), min(shape[0] - 1, here)
    return slice(fewest - 1, most), slice(fewest, most + 1)


def _trace(origin: Ints) -> list[int]:
    """Indices of the boundaries of the best slicing, from the last back to the first."""
    chosen, row = [origin.shape[1] - 1], origin.shape[0] - 1
    while chosen[-1] > 0:
        chosen.append(int(origin[row, chosen[-1]]))
        row = max(row - 1, 0)
    return chosen[::-1]
