"""The states of the exact search, (ideal, vector of devices used): the best way to each, and what led there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints
from partwise.planning.ideals.vectors import Vectors

__all__ = ["Chain", "States", "Step"]

Step = tuple[int, int, int]
"""A stage: the ideals at its ends and the type of its device."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Stages one after the other."""

    value: float
    """The largest load [s]."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Moves:
    """Ways on from some ideals: with which vector, on which type of device, to which columns.

    Attributes:
        rows: [moves] the places of the ideals among those asked about, ascending.
        kinds: [moves] the types of the device, ascending for each of them.
        numbers: [moves] of the vectors.
        starts: [moves] the first column.
        counts: [moves] how many columns follow one another.
    """

    rows: Ints
    kinds: Ints
    numbers: Ints
    starts: Ints
    counts: Ints

    @property
    def total(self) -> int:
        """How many stages these are."""
        return int(self.counts.sum())

    def stages(self) -> tuple[Ints, Ints]:
        """[stages] Of each stage the number of its move, and the column where it ends."""
        which = np.arange(len(self.counts)).repeat(self.counts)
        shift = self.starts - self.counts.cumsum() + self.counts
        return which, np.arange(len(which)) + shift[which]


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
        self._grid = tuple(shape)
        self._first = np.where(kept.any(axis=1), kept.argmax(axis=1), len(ideals))
        self._last = np.where(kept.any(axis=1), len(ideals) - 1 - kept[:, ::-1].argmax(axis=1), -1)

    def columns(self, *ideals: int) -> list[int]:
        """Where the ideals kept from some indices on begin."""
        return np.searchsorted(self.ideals, ideals).tolist()

    def beyond(self, columns: Ints) -> tuple[int, int]:
        """Where the columns begin and end that may be kept with one device more than reaches some ideals."""
        numbers = np.isfinite(self.best[:, columns]).any(axis=1)
        more = self.vectors.more[:, numbers]
        more = more[more >= 0]
        return int(self._first[more].min(initial=len(self.ideals))), int(self._last[more].max(initial=-1)) + 1

    def moves(self, columns: Ints, first: int, most: int) -> Moves:
        """From each vector that reaches some ideals on to what may be kept with one device more, of each type left.

        Args:
            columns: of the ideals.
            first: where the columns of their targets begin.
            most: where these end.
        """
        more = self.vectors.more
        rows, kinds, numbers = (self._reached(columns).T[:, None] & (more >= 0)).nonzero()
        after = more[kinds, numbers]
        starts = np.maximum(self._first[after], first)
        return Moves(rows, kinds, numbers, starts, np.maximum(np.minimum(self._last[after] + 1, most) - starts, 0))

    def _reached(self, columns: Ints) -> Bits:
        """[vectors, columns] Which vectors reach which ideals; where devices may stay empty, those that no smaller one
        equals."""
        best = self.best[:, columns]
        if self.vectors.exactly is not None:
            return np.isfinite(best)
        grid = best.reshape(*self._grid, len(columns))
        lower = np.full(grid.shape, np.inf)
        for axis in range(len(self._grid)):
            ahead = [slice(None)] * grid.ndim
            behind = list(ahead)
            ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
            np.minimum(lower[tuple(ahead)], grid[tuple(behind)], out=lower[tuple(ahead)])
        for axis in range(len(self._grid)):
            np.minimum.accumulate(lower, axis=axis, out=lower)
        return (grid < lower).reshape(best.shape)

    def offer(self, states: tuple[Ints, Ints, Ints], columns: Ints, value: Floats) -> None:
        """Reach some ideals with one device more at these values; of equal ones the first stays.

        Args:
            states: the column and the vector before, and the type of the device.
            columns: that are reached.
            value: at each of them.
        """
        before, numbers, kinds = states
        at = self.vectors.more[kinds, numbers] * len(self.ideals) + columns
        better = ((value < self._flat[at]) & self._kept[at]).nonzero()[0]
        np.minimum.at(self._flat, at[better], value[better])
        best = better[value[better] == self._flat[at[better]]][::-1]  # of several writes to one place the last stays
        self.changed[columns[best]] = True
        origin = (numbers[best] * len(self.vectors.counts) + kinds[best]) * len(self.ideals) + before[best]
        self.origin[at[best]] = origin

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
