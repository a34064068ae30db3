"""Which ideals stages below a limit can reach at all: a quick test that is never wrong when it says no.

The price of a stage J − I is at least its work; where J holds all members of what is open at I, also the borders
at I and J. Both are sums of a term of I and a term of J, so one running maximum over the ideals answers whether
*any* I reaches J. Run from both ends, for each vector of devices used, it leaves few states for the exact search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from partwise.planning.arrays import Bits, Ints
from partwise.planning.ideals.borders import Borders, borders
from partwise.planning.ideals.instance import Channel
from partwise.planning.ideals.lattice import Lattice

__all__ = ["Reach", "Vectors"]


_LONGEST = 64  # blocks; values that span more are left out of the borders, or nothing would be far enough apart
_LEAST = -1e300  # no ideal; finite, so that sums stay comparable


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
    """

    def __init__(self, counts: Sequence[int], exactly: int | None = None, homes: Sequence[int | None] = ()) -> None:
        self.homed = tuple(kind for kind, home in enumerate(homes) if home is not None)
        counts = [0 if kind in self.homed else count for kind, count in enumerate(counts)]
        self.counts, self.exactly = tuple(counts), exactly
        self.all = tuple(product(*(range(count + 1) for count in counts)))
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


@dataclass(frozen=True, slots=True)
class _Window:
    """Blocks that matter to a step, and their ideals."""

    first: int
    last: int
    ideals: slice


class Reach:
    """The test for one lattice.

    Each step looks only at what its device is the first to reach, and at the blocks within its limit: where a device
    may stay empty, everything else was reached with one device less.
    """

    def __init__(self, lattice: Lattice, load: Sequence[Channel], held: Channel, room: Sequence[float]) -> None:
        self.lattice, self.room = lattice, tuple(room)
        homes = lattice.instance.homes
        self._inside = {kind: lattice.holding(home) for kind, home in enumerate(homes) if home is not None}
        channels = (*load, held)
        self.work = np.stack([lattice.work(channel) for channel in channels])
        self.fixed = [channel.fixed for channel in channels]
        self.borders: Borders = borders(lattice, channels, _LONGEST)
        ends = lattice.starts[1:] - 1
        self._most = self.work[:, ends]
        self._least = np.concatenate((np.zeros((len(channels), 1)), self._most[:, :-1]), axis=1)
        low, high = lattice.block, self.borders.reach
        self._level: Ints = np.floor(np.log2(high - low + 1) + 1e-12).astype(np.int64)
        self._second: Ints = high - (1 << self._level) + 1

    def forward(self, vectors: Vectors, limit: float) -> Bits:
        """[vectors, ideals] Which ideals some stages below a limit may reach with these devices."""
        found = np.zeros((len(vectors), len(self.lattice)), bool)
        found[0, 0] = True
        self._at_home(found[0], self._next, limit)
        for number in range(1, len(vectors)):
            for kind, before in vectors.below(number):
                self._next(found[number], self._fresh(found, vectors, (before, kind, -1)), kind, limit)
                if vectors.exactly is None:
                    found[number] |= found[before]
            self._at_home(found[number], self._next, limit)
        return found

    def backward(self, vectors: Vectors, limit: float) -> Bits:
        """[vectors, ideals] From which ideals, these devices used, the others may reach the whole."""
        found = np.zeros((len(vectors), len(self.lattice)), bool)
        found[vectors.final, -1] = True
        for number in reversed(range(len(vectors))):
            for kind, after in vectors.above(number):
                self._previous(found[number], self._fresh(found, vectors, (after, kind, 1)), kind, limit)
                if vectors.exactly is None:
                    found[number] |= found[after]
            self._at_home(found[number], self._previous, limit)
        return found

    def _at_home(self, found: Bits, step: Callable[[Bits, Ints, int, float], None], limit: float) -> None:
        """Add what devices with a home reach, one after the other, with the same vector."""
        fresh = found.copy() if self._inside else found[:0]
        while fresh.any():
            before = found.copy()
            for kind, inside in self._inside.items():
                is_source = ~inside if step == self._next else inside
                reached = np.zeros_like(found)
                step(reached, np.flatnonzero(fresh & is_source), kind, limit)
                found |= reached & ~is_source
            fresh = found & ~before

    def _fresh(self, found: Bits, vectors: Vectors, state: tuple[int, int, int]) -> Ints:
        """The ideals held with a vector; where devices may stay empty, those that its twin does not hold."""
        number, kind, step = state
        twin = vectors.twin(number, kind, step) if vectors.exactly is None else None
        return np.flatnonzero(found[number] if twin is None else found[number] & ~found[twin])

    def _next(self, found: Bits, held: Ints, kind: int, limit: float) -> None:
        """Add what some ideals reach."""
        if not len(held) or limit < self.fixed[kind]:
            return
        most = float(self.work[kind, held].max()) + limit - self.fixed[kind]
        first, last = int(self.lattice.block[held[0]]), int(np.searchsorted(self._least[kind], most, "right")) - 1
        window = self._window(first, last)
        reached = self._reachable(held, window, kind, limit)
        if self.room[kind] < np.inf:
            reached &= self._reachable(held, window, -1, self.room[kind])
        found[window.ideals] |= reached

    def _previous(self, found: Bits, held: Ints, kind: int, limit: float) -> None:
        """Add what reaches some ideals."""
        if not len(held) or limit < self.fixed[kind]:
            return
        least = float(self.work[kind, held].min()) - limit + self.fixed[kind]
        first, last = int(np.searchsorted(self._most[kind], least)), int(self.lattice.block[held[-1]])
        window = self._window(first, last)
        reaching = self._reaching(held, window, kind, limit)
        if self.room[kind] < np.inf:
            reaching &= self._reaching(held, window, -1, self.room[kind])
        found[window.ideals] |= reaching

    def _window(self, first: int, last: int) -> _Window:
        starts = self.lattice.starts
        return _Window(first, last, slice(int(starts[first]), int(starts[max(first, last + 1)])))

    def _reachable(self, held: Ints, window: _Window, channel: int, limit: float) -> Bits:
        """Which ideals of a window some of those held reach."""
        limit -= self.fixed[channel]
        work, reach, first = self.work[channel], self.borders.reach[held], window.first
        far, level = np.full(int(max(window.last, reach.max())) - first + 2, _LEAST), self._level[held]
        near = np.full((int(level.max()) + 1, len(far)), _LEAST)
        flat = near.ravel()  # `at` is fast for one axis alone
        np.maximum.at(far, reach - first + 1, work[held] - self.borders.left[channel, held])
        np.maximum.accumulate(far, out=far)
        for low in (self.lattice.block[held], self._second[held]):
            np.maximum.at(flat, level * len(far) + low - first, work[held])
        for upper in range(len(near) - 1, 0, -1):
            half, lower = 1 << (upper - 1), near[upper - 1]
            np.maximum(lower, near[upper], out=lower)
            np.maximum(lower[half:], near[upper, :-half], out=lower[half:])
        ends = window.ideals
        block, after = self.lattice.block[ends] - first, work[ends]
        return (after + self.borders.right[channel, ends] - far[block] <= limit) | (after - near[0][block] <= limit)

    def _reaching(self, held: Ints, window: _Window, channel: int, limit: float) -> Bits:
        """Which ideals of a window reach some of those held."""
        limit -= self.fixed[channel]
        work, starts, first = self.work[channel], window.ideals, window.first
        reach, block = self.borders.reach[starts] - first, self.lattice.block[held] - first
        size = int(max(window.last - first, reach.max(initial=0))) + 2
        far, near = np.full(size, -_LEAST), np.full(size, -_LEAST)
        np.minimum.at(far, block, work[held] + self.borders.right[channel, held])
        far = np.minimum.accumulate(far[::-1])[::-1]
        np.minimum.at(near, block, work[held])
        level, table = self._level[starts], [near]
        for higher in range(1, int(level.max(initial=0)) + 1):
            half = 1 << (higher - 1)
            table.append(np.minimum(table[-1], np.concatenate((table[-1][half:], np.full(half, -_LEAST)))[:size]))
        stacked, before = np.stack(table), work[starts]
        low, second = self.lattice.block[starts] - first, self._second[starts] - first
        near = np.minimum(stacked[level, low], stacked[level, second])
        left = before - self.borders.left[channel, starts]
        return (far[reach + 1] - left <= limit) | (near - before <= limit)
