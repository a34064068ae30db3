"""The states of the exact search, (ideal, vector of devices used): the best way to each, and what led there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints
from partwise.planning.ideals.reach import Vectors

__all__ = ["Chain", "States", "Step"]


Step = tuple[int, int, int]
"""A stage: the ideals at its ends and the type of its device."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Stages one after the other."""

    value: float
    """The largest load [s]."""
    steps: tuple[Step, ...]


class States:
    """The states kept: the best bottleneck of each, and the stage that reached it."""

    def __init__(self, vectors: Vectors, ideals: Ints, kept: Bits) -> None:
        self.vectors, self.ideals, self.kept = vectors, ideals, kept
        self.best: Floats = np.full(kept.shape, np.inf)
        self.best[0, 0] = 0
        self._flat, self._kept = self.best.ravel(), kept.ravel()
        self.origin = np.zeros(kept.size, np.int64)  # of a state: the vector, type and column before, as one number
        self.changed = np.arange(len(ideals)) == 0  # columns reached, or reached better, since they were left
        shape = [count + 1 for count in vectors.counts]
        self._grid = (*shape, -1)
        self._first = np.where(kept.any(axis=1), kept.argmax(axis=1), len(ideals))
        self._last = np.where(kept.any(axis=1), len(ideals) - 1 - kept[:, ::-1].argmax(axis=1), -1)

    def columns(self, *ideals: int) -> list[int]:
        """Where the ideals kept from some indices on begin."""
        return np.searchsorted(self.ideals, ideals).tolist()

    def reached(self, column: int) -> Ints:
        """The vectors that reach an ideal; where devices may stay empty, those that no smaller one equals."""
        best = self.best[:, column]
        if self.vectors.exactly is not None:
            return np.flatnonzero(np.isfinite(best))
        if len(self.vectors.counts) == 1:
            return np.flatnonzero(best < np.minimum.accumulate(np.concatenate(([np.inf], best[:-1]))))
        grid = best.reshape(self._grid[:-1])
        lower = np.full(grid.shape, np.inf)
        for axis in range(grid.ndim):
            ahead = [slice(None)] * grid.ndim
            behind = list(ahead)
            ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
            np.minimum(lower[tuple(ahead)], grid[tuple(behind)], out=lower[tuple(ahead)])
        for axis in range(grid.ndim):
            np.minimum.accumulate(lower, axis=axis, out=lower)
        return np.flatnonzero((grid < lower).ravel())

    def worthwhile(self, kind: int, numbers: Ints, columns: Ints) -> tuple[Ints, Ints]:
        """Places in `numbers` and in `columns`: from each vector the ideals that may be kept with one device more.

        Args:
            kind: the type of device.
            numbers: of the vectors.
            columns: ascending.
        """
        more = self.vectors.more[kind][numbers]
        starts = np.searchsorted(columns, self._first[more])
        count = np.maximum(np.searchsorted(columns, self._last[more], "right") - starts, 0)
        places: Ints = np.repeat(np.arange(len(numbers)), count)
        shift: Ints = np.repeat(starts - np.cumsum(count) + count, count)
        return places, np.arange(len(places)) + shift

    def offer(self, origin: tuple[int, int], states: tuple[Ints, Ints], value: Floats) -> None:
        """Reach some ideals with one device more at these values.

        Args:
            origin: the column from where, and the type of device.
            states: the vector before and the column of each; no two the same.
            value: at each of them.
        """
        (column, kind), (numbers, columns) = origin, states
        at = self.vectors.more[kind][numbers] * len(self.ideals) + columns
        better = np.flatnonzero((value < self._flat[at]) & self._kept[at])
        at = at[better]
        self._flat[at] = value[better]
        self.changed[columns[better]] = True
        self.origin[at] = (numbers[better] * len(self.vectors.counts) + kind) * len(self.ideals) + column

    def chain(self) -> Chain | None:
        """The best chain to the last ideal: of equal ones that with the fewest devices."""
        last = self.best[:, -1]
        if self.vectors.exactly is not None:
            last = np.where(np.isin(np.arange(len(last)), self.vectors.final), last, np.inf)
        if not np.isfinite(last).any():
            return None
        used = np.array([sum(vector) for vector in self.vectors.all])
        number = int(np.lexsort((used, last))[0])
        column, steps, value = self.best.shape[1] - 1, list[Step](), float(last[number])
        while column:
            rest, before = divmod(int(self.origin[number * len(self.ideals) + column]), len(self.ideals))
            number, kind = divmod(rest, len(self.vectors.counts))
            steps.append((int(self.ideals[before]), int(self.ideals[column]), kind))
            column = before
        return Chain(value, tuple(reversed(steps)))
