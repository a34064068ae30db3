"""Which ideals stages below a limit can reach at all: a quick test that is never wrong when it says no.

The price of a stage J − I is at least its work; where J holds all members of what is open at I, also the borders
at I and J. Both are sums of a term of I and a term of J, so one running maximum over the ideals answers whether
*any* I reaches J. Run from both ends, for each vector of devices used, it leaves few states for the exact search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from partwise.planning.ideals.borders import Borders, borders
from partwise.planning.ideals.instance import Channel
from partwise.planning.ideals.lattice import Lattice
from partwise.planning.problem import Floats, Ints

__all__ = ["Reach", "Vectors"]

Bits = NDArray[np.bool_]

_LONGEST = 64  # blocks; values that span more are left out of the borders, or nothing would be far enough apart
_LEAST = -1e300  # no ideal; finite, so that sums stay comparable


class Vectors:
    """How many devices of each type are used: all vectors up to the counts, each after those below it.

    Attributes:
        counts: [types] devices there are.
        exactly: so many stages, none empty; None: a device may stay empty.
        all: the vectors.
        final: the numbers of those with which the whole may be reached.
    """

    def __init__(self, counts: Sequence[int], exactly: int | None = None) -> None:
        self.counts, self.exactly = tuple(counts), exactly
        self.all = tuple(product(*(range(count + 1) for count in counts)))
        self._stride = tuple(int(np.prod([c + 1 for c in counts[t + 1 :]])) for t in range(len(counts)))
        used = [sum(vector) for vector in self.all]
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


@dataclass(frozen=True, slots=True)
class _Intervals:
    """For each ideal the blocks from its own to where its open values end, as two overlapping powers of two."""

    level: Ints
    low: Ints
    second: Ints
    levels: int


class Reach:
    """The test for one lattice."""

    def __init__(self, lattice: Lattice, load: Sequence[Channel], held: Channel, room: Sequence[float]) -> None:
        self.lattice, self.room = lattice, tuple(room)
        channels = (*load, held)
        self.work = np.stack([lattice.work(channel) for channel in channels])
        self._fixed = [channel.fixed for channel in channels]
        self.borders: Borders = borders(lattice, channels, _LONGEST)
        self.count = len(lattice.blocks) + 1
        self._intervals = self._near()
        self._by_reach = np.argsort(self.borders.reach, kind="stable")
        self._reach_starts = _groups(self.borders.reach[self._by_reach], self.count)
        keys = np.concatenate(
            [self._intervals.level * self.count + low for low in (self._intervals.low, self._intervals.second)]
        )
        self._by_key = np.argsort(keys, kind="stable")
        self._key_starts = _groups(keys[self._by_key], self._intervals.levels * self.count)

    def forward(self, vectors: Vectors, limit: float) -> Bits:
        """[vectors, ideals] Which ideals some stages below a limit may reach with these devices."""
        found = np.zeros((len(vectors), len(self.lattice)), bool)
        found[0, 0] = True
        for number in range(1, len(vectors)):
            for kind, before in vectors.below(number):
                found[number] |= self._next(found[before], kind, limit)
                if vectors.exactly is None:
                    found[number] |= found[before]
        return found

    def backward(self, vectors: Vectors, limit: float) -> Bits:
        """[vectors, ideals] From which ideals, these devices used, the others may reach the whole."""
        found = np.zeros((len(vectors), len(self.lattice)), bool)
        found[vectors.final, -1] = True
        for number in reversed(range(len(vectors))):
            for kind, after in vectors.above(number):
                found[number] |= self._previous(found[after], kind, limit)
                if vectors.exactly is None:
                    found[number] |= found[after]
        return found

    def _next(self, held: Bits, kind: int, limit: float) -> Bits:
        found = self._reachable(held, kind, limit)
        if self.room[kind] < np.inf:
            found &= self._reachable(held, -1, self.room[kind])
        return found

    def _previous(self, held: Bits, kind: int, limit: float) -> Bits:
        found = self._reaching(held, kind, limit)
        if self.room[kind] < np.inf:
            found &= self._reaching(held, -1, self.room[kind])
        return found

    def _reachable(self, held: Bits, channel: int, limit: float) -> Bits:
        work, block, limit = self.work[channel], self.lattice.block, limit - self._fixed[channel]
        far = _maxima(np.where(held, work - self.borders.left[channel], _LEAST)[self._by_reach], self._reach_starts)
        far = np.concatenate(([_LEAST], np.maximum.accumulate(far)[:-1]))
        near = self._stabbed(np.where(held, work, _LEAST))
        return (work + self.borders.right[channel] - far[block] <= limit) | (work - near[block] <= limit)

    def _reaching(self, held: Bits, channel: int, limit: float) -> Bits:
        work, starts, limit = self.work[channel], self.lattice.starts[:-1], limit - self._fixed[channel]
        far = np.minimum.reduceat(np.where(held, work + self.borders.right[channel], -_LEAST), starts)
        far = np.concatenate((np.minimum.accumulate(far[::-1])[::-1], [-_LEAST]))
        near = self._lowest(np.minimum.reduceat(np.where(held, work, -_LEAST), starts))
        left = work - self.borders.left[channel]
        return (far[self.borders.reach + 1] - left <= limit) | (near - work <= limit)

    def _near(self) -> _Intervals:
        low, high = self.lattice.block, self.borders.reach
        level = np.floor(np.log2(high - low + 1) + 1e-12).astype(np.int64)
        return _Intervals(level, low, high - (1 << level) + 1, int(level.max(initial=0)) + 1)

    def _stabbed(self, amount: Floats) -> Floats:
        """[blocks] The largest amount of an ideal whose interval holds the block."""
        found = _maxima(np.concatenate((amount, amount))[self._by_key], self._key_starts)
        table = found.reshape(self._intervals.levels, self.count)
        for level in range(self._intervals.levels - 1, 0, -1):
            half = 1 << (level - 1)
            np.maximum(table[level - 1], table[level], out=table[level - 1])
            np.maximum(table[level - 1, half:], table[level, :-half], out=table[level - 1, half:])
        return table[0]

    def _lowest(self, amount: Floats) -> Floats:
        """[ideals] The smallest amount of a block in the ideal's interval."""
        table = [amount]
        for level in range(1, self._intervals.levels):
            half = 1 << (level - 1)
            table.append(np.minimum(table[-1], np.concatenate((table[-1][half:], np.full(half, -_LEAST)))))
        stacked = np.stack(table)
        at = self._intervals
        return np.minimum(stacked[at.level, at.low], stacked[at.level, at.second])


@dataclass(frozen=True, slots=True)
class _Groups:
    """Where the groups of a sorted array begin, and which number each has."""

    starts: Ints
    number: Ints
    count: int


def _groups(numbers: Ints, count: int) -> _Groups:
    starts = np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1])))
    return _Groups(starts, numbers[starts], count)


def _maxima(amounts: Floats, groups: _Groups) -> Floats:
    """[count] The largest of each group; of one without members the least."""
    found = np.full(groups.count, _LEAST)
    found[groups.number] = np.maximum.reduceat(amounts, groups.starts)
    return found
