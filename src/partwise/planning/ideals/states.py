"""The states of the exact search, (ideal, vector of devices used): the best way to each, and what led there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from partwise.planning.arrays import Bits, Floats, Ints
from partwise.planning.ideals.vectors import Vectors

__all__ = ["Chain", "Moves", "States", "Step", "extent"]

T = TypeVar("T", bound=np.generic)
Step = tuple[int, int, int]
"""A stage: the ideals at its ends and the type of its device."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Stages one after the other."""

    value: float
    """The largest load [s]."""
    steps: tuple[Step, ...]


def extent(bits: Bits) -> tuple[Ints, Ints]:
    """Of each row of a table: where its first one is, and the place after its last one; beyond all, and 0, of none."""
    there, size = bits.any(axis=-1), bits.shape[-1]
    first: Ints = bits.argmax(axis=-1)
    after: Ints = size - bits[..., ::-1].argmax(axis=-1)
    return np.where(there, first, size), np.where(there, after, 0)


@dataclass(frozen=True, slots=True)
class Moves:
    """Ways on from some states: on which type of device, to which columns.

    Attributes:
        rows: [moves] the places of their ideals among those asked about, ascending.
        kinds: [moves] the types of the device, ascending for each of them.
        origins: [moves] the state and the type, as one number.
        value: [moves] of the state.
        targets: [moves] where the states with one device more begin in the table.
        starts: [moves] the first column.
        counts: [moves] how many columns follow one another.
    """

    rows: Ints
    kinds: Ints
    origins: Ints
    value: Floats
    targets: Ints
    starts: Ints
    counts: Ints

    def parts(self, most: int) -> Iterator[Moves]:
        """The same in parts of about so many stages."""
        part = self.counts.cumsum() // most
        ends = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(part)]
        for here in (slice(*pair) for pair in pairwise(ends)):
            yield Moves(*(getattr(self, field.name)[here] for field in fields(self)))

    def each(self, amounts: NDArray[T]) -> NDArray[T]:
        """[stages] What each of the stages has of its move."""
        return amounts.repeat(self.counts)

    def columns(self) -> Ints:
        """[stages] Where each ends."""
        return np.arange(int(self.counts.sum())) + self.each(self.starts - self.counts.cumsum() + self.counts)


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
        self._first, self._after = extent(kept)

    def columns(self, *ideals: int) -> list[int]:
        """Where the ideals kept from some indices on begin."""
        return np.searchsorted(self.ideals, ideals).tolist()

    def beyond(self, columns: Ints) -> tuple[int, int]:
        """Where the columns begin and end that may be kept with one device more than reaches some ideals."""
        numbers = np.isfinite(self.best[:, columns]).any(axis=1)
        more = self.vectors.more[:, numbers]
        more = more[more >= 0]
        return int(self._first[more].min(initial=len(self.ideals))), int(self._after[more].max(initial=0))

    def moves(self, columns: Ints, first: Ints, after: Ints) -> Moves:
        """From each vector that reaches some ideals on to what may be kept with one device more, of each type left.

        Args:
            columns: of the ideals.
            first: [types, columns] where the columns of their targets begin.
            after: [types, columns] where these end.
        """
        more = self.vectors.more
        rows, kinds, numbers = (self._reached(columns).T[:, None] & (more >= 0)).nonzero()
        other = more[kinds, numbers]
        starts = np.maximum(self._first[other], first[kinds, rows])
        counts = np.maximum(np.minimum(self._after[other], after[kinds, rows]) - starts, 0)
        origins = (numbers * len(more) + kinds) * len(self.ideals) + columns[rows]
        value = self.best[numbers, columns[rows]]
        return Moves(rows, kinds, origins, value, other * len(self.ideals), starts, counts)

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

    def offer(self, moves: Moves, columns: Ints, value: Floats) -> None:
        """Reach some ideals with one device more at these values; of equal ones the first stays.

        Args:
            moves: from where.
            columns: [stages] that are reached.
            value: [stages] at each of them.
        """
        at = moves.each(moves.targets) + columns
        better = (value < self._flat[at]).nonzero()[0]
        better = better[self._kept[at[better]]]
        at, value = at[better], value[better]
        np.minimum.at(self._flat, at, value)
        best = (value == self._flat[at]).nonzero()[0][::-1]  # of several writes to one place the last stays
        self.changed[columns[better[best]]] = True
        move = moves.counts.cumsum().searchsorted(better[best], "right")
        self.origin[at[best]] = moves.origins[move]

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
