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
            return (best < np.minimum.accumulate(np.concatenate(([np.inf], best[:-1])))).nonzero()[0]
        grid = best.reshape(self._grid[:-1])
        lower = np.full(grid.shape, np.inf)
        for axis in range(grid.ndim):
            ahead = [slice(None)] * grid.ndim
            behind = list(ahead)
            ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
            np.minimum(lower[tuple(ahead)], grid[tuple(behind)], out=lower[tuple(ahead)])
        for axis in range(grid.ndim):
            np.minimum.accumulate(lower, axis=axis, out=lower)
        return (grid < lower).ravel().nonzero()[0]

    def worthwhile(self, kinds: Ints, numbers: Ints, columns: Ints) -> tuple[Ints, Ints]:
        """Places in `numbers` and in `columns`: from each vector the ideals that may be kept with one device more.

        Args:
            kinds: the types of the device, one for each vector.
            numbers: of the vectors.
            columns: ascending.
        """
        more = self.vectors.more[kinds, numbers]
        starts = columns.searchsorted(self._first[more])
        count = np.maximum(columns.searchsorted(self._last[more], "right") - starts, 0)
        places: Ints = np.arange(len(numbers)).repeat(count)
        shift: Ints = (starts - count.cumsum() + count).repeat(count)
        return places, np.arange(len(places)) + shift

    def offer(self, column: int, states: tuple[Ints, Ints, Ints], value: Floats) -> None:
        """Reach some ideals with one device more at these values; of equal ones the first type of device stays.

        Args:
            column: from where.
            states: the vector before, the type of the device, and the column of each; types ascending.
            value: at each of them.
        """
        numbers, kinds, columns = states
        at = self.vectors.more[kinds, numbers] * len(self.ideals) + columns
        better = ((value < self._flat[at]) & self._kept[at]).nonzero()[0]
        np.minimum.at(self._flat, at[better], value[better])
        best = better[value[better] == self._flat[at[better]]][::-1]  # of several writes to one place the last stays
        self.changed[columns[best]] = True
        self.origin[at[best]] = (numbers[best] * len(self.vectors.counts) + kinds[best]) * len(self.ideals) + column

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
