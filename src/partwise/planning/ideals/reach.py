"""Which ideals stages below a limit can reach at all: a quick test that is never wrong when it says no.

The price of a stage J − I is at least its work; where J holds all members of what is open at I, also the borders
at I and J. Both are sums of a term of I and a term of J, so one running maximum over the ideals answers whether
*any* I reaches J. Run from both ends, for each vector of devices used, it leaves few states for the exact search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Bits, Ints
from partwise.planning.ideals.borders import Borders, borders
from partwise.planning.ideals.instance import Channel
from partwise.planning.ideals.lattice import Lattice
from partwise.planning.ideals.moves import Moves, Prices
from partwise.planning.ideals.ranges import Range, Ranges
from partwise.planning.ideals.vectors import Vectors

__all__ = ["Reach"]

_LONGEST = 64  # blocks; values that span more are left out of the borders, or nothing would be far enough apart
_CELLS = 500_000  # of a table over the blocks, with a row for each move; 4 MB, and as much for each of its levels


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of the test, from the empty ideal (`ahead`) or from the whole."""

    vectors: Vectors
    limit: float
    ranges: Sequence[Range]
    """[vectors]"""
    ahead: bool


@dataclass(frozen=True, slots=True)
class _Step:
    """One stage more: the vector that it leads to, the type of its device, and the ideals at its known end."""

    number: int
    kind: int
    held: Ints


class Reach:
    """The test for one lattice.

    Each step looks only at what its device is the first to reach, and at the blocks within its limit: where a device
    may stay empty, everything else was reached with one device less. What the devices used cannot have done, or the
    others cannot finish, is left out.
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
        self._ranges, self._prices = Ranges(lattice, load, self.borders), Prices(lattice, self.work, self.borders)

    def forward(self, vectors: Vectors, limit: float) -> Bits:
        """[vectors, ideals] Which ideals some stages below a limit may reach with these devices."""
        run = _Run(vectors, limit, self._ranges.of(vectors, limit), ahead=True)
        found = np.zeros((len(vectors), len(self.lattice)), bool)
        found[0, 0] = run.ranges[0].first == 0
        for level in vectors.levels:
            self._enter(found, level, run)
        return found

    def backward(self, vectors: Vectors, limit: float) -> Bits:
        """[vectors, ideals] From which ideals, these devices used, the others may reach the whole."""
        run = _Run(vectors, limit, self._ranges.of(vectors, limit), ahead=False)
        found = np.zeros((len(vectors), len(self.lattice)), bool)
        found[vectors.final, -1] = True
        for level in reversed(vectors.levels):
            self._enter(found, level, run)
        return found

    def _enter(self, found: Bits, level: Sequence[int], run: _Run) -> None:
        """Reach what vectors of equally many devices reach, from those of one device less, or more."""
        self._take(found, self._steps(found, level, run), run)
        for number in level:
            here = run.ranges[number].ideals
            for _, other in self._next_to(number, run) if run.vectors.exactly is None else ():
                found[number, here] |= found[other, here]
            self._at_home(found[number], number, run)

    def _next_to(self, number: int, run: _Run) -> list[tuple[int, int]]:
        """For each type the vector that a stage on it leads from."""
        return run.vectors.below(number) if run.ahead else run.vectors.above(number)

    def _steps(self, found: Bits, level: Sequence[int], run: _Run) -> Iterator[_Step]:
        """The stages that lead to some vectors: where devices may stay empty, from what a vector's twin, with one
        device of the type less (or more), does not hold."""
        vectors, is_free = run.vectors, run.vectors.exactly is None
        for number in level:
            for kind, other in self._next_to(number, run):
                here = run.ranges[other].ideals
                twin = vectors.twin(other, kind, -1 if run.ahead else 1) if is_free else None
                held = found[other, here] if twin is None else found[other, here] & ~found[twin, here]
                yield _Step(number, kind, held.nonzero()[0] + here.start)

    def _at_home(self, found: Bits, number: int, run: _Run) -> None:
        """Add what devices with a home reach, one after the other, with the same vector."""
        fresh = found.copy() if self._inside else found[:0]
        while fresh.any():
            before = found.copy()
            for kind, inside in self._inside.items():
                is_source, reached = inside != run.ahead, np.zeros((len(run.ranges), len(found)), bool)
                self._take(reached, [_Step(number, kind, np.flatnonzero(fresh & is_source))], run)
                found |= reached[number] & ~is_source
            fresh = found & ~before

    def _take(self, found: Bits, steps: Iterable[_Step], run: _Run) -> None:
        """Add what some steps reach; so many at once as there is room for."""
        taken, asked, widest = list[_Step](), list[Ints](), 0
        for step in steps:
            others = self._asked(step, run) if len(step.held) else range(0)
            if not others:
                continue
            span = abs(int(self.lattice.block[others[-1]] - self.lattice.block[step.held[0]]))
            widest = max(widest, span, len(step.held) + len(others))
            if taken and widest * (len(taken) + 1) > _CELLS:
                self._answer(found, taken, asked, run)
                taken, asked = [], []
            taken.append(step)
            asked.append(np.arange(others.start, others.stop))
        if taken:
            self._answer(found, taken, asked, run)

    def _asked(self, step: _Step, run: _Run) -> range:
        """The ideals within reach of the limit and in the vector's range."""
        kind, within, spare = step.kind, run.ranges[step.number], run.limit - self.fixed[step.kind]
        first, last = (int(self.lattice.block[step.held[end]]) for end in (0, -1))
        if run.ahead:
            last = int(self._least[kind].searchsorted(self._most[kind, last] + spare, "right")) - 1
        else:
            first = int(self._most[kind].searchsorted(self._least[kind, first] - spare))
        found = self._ranges.between(max(first, within.first), min(last, within.last)).ideals
        return range(found.start, found.stop) if spare >= 0 else range(0)

    def _answer(self, found: Bits, steps: Sequence[_Step], asked: Sequence[Ints], run: _Run) -> None:
        """Add what some steps reach of what they ask about, below the limit and with the memory of their device."""
        moves, kinds = Moves([step.held for step in steps], asked), np.array([step.kind for step in steps])
        test = self._prices.reached if run.ahead else self._prices.reaching
        is_reached = test(moves, kinds, run.limit - np.array(self.fixed)[kinds])
        room = np.array(self.room)[kinds]
        if room.min() < np.inf:
            is_reached &= test(moves, np.full_like(kinds, -1), room - self.fixed[-1])
        numbers = np.array([step.number for step in steps])
        found[numbers[moves.asked.move[is_reached]], moves.asked.ideal[is_reached]] = True
