"""Vectors: how many devices of each type are used."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from partwise.planning.arrays import Ints

__all__ = ["Vectors"]


class Vectors:
    """How many devices of each type are used: all vectors up to the counts, each after those below it.

    A device with a home, a unit that it alone runs, is used at an ideal exactly if the unit is in it; vectors need not
    count it.

    Attributes:
        counts: [types] devices that are counted; 0 of those with a home.
        homed: the types with a home.
        exactly: so many stages, none empty; None: a device may stay empty.
        all: the vectors.
        more: [types, vectors] the vector with one device of a type more; -1 where there is none.
        final: the numbers of those with which the whole may be reached.
        levels: the numbers of the vectors, by how many devices they count.
        used, left: [vectors, types] devices used, and those left; one with a home counts as both.
    """

    def __init__(self, counts: Sequence[int], exactly: int | None = None, homes: Sequence[int | None] = ()) -> None:
        self.homed = tuple(kind for kind, home in enumerate(homes) if home is not None)
        counts = [0 if kind in self.homed else count for kind, count in enumerate(counts)]
        self.counts, self.exactly = tuple(counts), exactly
        self.all = tuple(product(*(range(count + 1) for count in counts)))
        self.used: Ints = np.array(self.all, np.int64)
        count = self.used.sum(axis=1)
        self.levels: list[list[int]] = [np.flatnonzero(count == most).tolist() for most in range(sum(counts) + 1)]
        self.left: Ints = self.used[-1] - self.used
        self.used[:, self.homed] = self.left[:, self.homed] = 1
        self._stride = tuple(int(np.prod([c + 1 for c in counts[t + 1 :]])) for t in range(len(counts)))
        above = [[self.twin(n, t, 1) for n in range(len(self.all))] for t in range(len(counts))]
        self.more: Ints = np.array([[-1 if n is None else n for n in row] for row in above], np.int64)
        self.more[list(self.homed)] = np.arange(len(self.all))
        used = [sum(vector) + len(self.homed) for vector in self.all]
        self.final = [len(used) - 1] if exactly is None else [n for n, count in enumerate(used) if count == exactly]

    def __len__(self) -> int:
        return len(self.all)

    def below(self, number: int) -> list[tuple[int, int]]:
        """For each type in use: the type, and the vector with one device of it less."""
        return [(t, number - self._stride[t]) for t, used in enumerate(self.all[number]) if used]

    def above(self, number: int) -> list[tuple[int, int]]:
        """For each type with a device left: the type, and the vector with one more."""
        vector = self.all[number]
        return [(t, number + self._stride[t]) for t, count in enumerate(self.counts) if vector[t] < count]

    def twin(self, number: int, kind: int, step: int) -> int | None:
        """The vector with one device of a type more (`step` 1) or less (-1); None where there is none."""
        if not 0 <= self.all[number][kind] + step <= self.counts[kind]:
            return None
        return number + step * self._stride[kind]
