"""What the stages that begin at one ideal pay, exactly, in every channel.

A stage J − I pays the work of its units, the borders at I and J, and once for each item it needs. A value open
at both ends is charged twice by the borders; what it really costs depends on whether the stage reads or makes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from partwise.planning.ideals.borders import borders
from partwise.planning.ideals.instance import Channel
from partwise.planning.ideals.lattice import Lattice, Spans
from partwise.planning.problem import Floats, Ints

__all__ = ["Loads"]

Bits = NDArray[np.bool_]


class Loads:
    """The prices of stages between two ideals of a lattice.

    Attributes:
        work: [channels, ideals] what the units of an ideal pay, added up.
    """

    def __init__(self, lattice: Lattice, channels: Sequence[Channel]) -> None:
        self.lattice = lattice
        self.work: Floats = np.stack([lattice.work(channel) for channel in channels])
        self.borders = borders(lattice, channels)
        self._receive = np.stack([channel.receive for channel in channels])
        self._send = np.stack([channel.send for channel in channels])
        self._fixed = np.array([channel.fixed for channel in channels])
        self._again = np.stack([channel.again for channel in channels])
        self._values = _Counts(lattice, lattice.values)
        self._items = _Counts(lattice, lattice.items)
        self._is_asked_again = bool(self._again.size and self._again.any())

    def after(self, ideal: int, limit: int) -> Ints:
        """The larger ideals with an index below `limit`, ascending."""
        block = int(self.lattice.block[ideal])
        end = int(self.lattice.starts[block + 1])
        if ideal + 1 >= end or not block:
            return np.arange(ideal + 1, limit)
        bits, place = self.lattice.blocks[block - 1].bits, ideal - int(self.lattice.starts[block])
        inside = np.flatnonzero(bits[place + 1 :, bits[place]].all(axis=1)) + ideal + 1
        return np.concatenate((inside[inside < limit], np.arange(end, max(end, limit))))

    def row(self, ideal: int, ends: Ints) -> Floats:
        """[channels, ends] The price of the stage from an ideal to each of some larger ones (ascending)."""
        price = self.work[:, ends] - (self.work[:, ideal] - self._fixed)[:, None]
        price += self.borders.left[:, ideal, None] + self.borders.right[:, ends]
        for value in self._values.open_at(ideal):
            near, readers, made = self._values.change(value, ideal, ends)
            both = ~self._values.is_full(value, ends[:near])
            unread = both & ~readers & ~made
            price[:, :near] -= self._send[:, value, None] * both + self._receive[:, value, None] * unread
        if self._is_asked_again:
            for item in self._items.unfinished_at(ideal):
                near, readers, _ = self._items.change(item, ideal, ends)
                price[:, :near] += self._again[:, item, None] * readers
                price[:, near:] += self._again[:, item, None]
        return price


class _Counts:
    """How many readers of a thing each ideal holds, and whether its maker; made when first asked for."""

    def __init__(self, lattice: Lattice, spans: Spans) -> None:
        self.lattice, self.spans = lattice, spans
        order = np.argsort(spans.thing, kind="stable")
        self._order = order
        self._starts = np.searchsorted(spans.thing[order], np.arange(len(spans.first) + 1))
        self._tables: dict[int, tuple[int, int, Ints, Bits, Bits]] = {}
        self._candidates: dict[int, list[int]] = {}

    def open_at(self, ideal: int) -> list[int]:
        """The things that an ideal holds some members of, not all."""
        return [thing for thing in self._around(ideal) if self._is_open(thing, ideal)]

    def unfinished_at(self, ideal: int) -> list[int]:
        """The things with members outside an ideal."""
        block = int(self.lattice.block[ideal])
        found = np.flatnonzero(self.spans.last >= block).tolist()
        return [thing for thing in found if not self._is_finished(thing, ideal)]

    def is_full(self, thing: int, ideals: Ints) -> Bits:
        """For ideals below a thing's end: whether they hold all its members."""
        start, _, _, _, full = self._table(thing)
        return full[ideals - start]

    def change(self, thing: int, ideal: int, ends: Ints) -> tuple[int, Bits, Bits]:
        """How many of the ends lie below the thing's end; for these, whether readers, or the maker, lie between."""
        start, end, readers, made, _ = self._table(thing)
        near = int(np.searchsorted(ends, end))
        at = np.maximum(ends[:near] - start, 0)
        is_here = ends[:near] >= start
        held, is_held = (int(readers[ideal - start]), bool(made[ideal - start])) if ideal >= start else (0, False)
        return near, (readers[at] > held) & is_here, made[at] & is_here & (not is_held)

    def _around(self, ideal: int) -> list[int]:
        block = int(self.lattice.block[ideal])
        if block not in self._candidates:
            found = np.flatnonzero((self.spans.first <= block) & (self.spans.last >= block))
            self._candidates[block] = found.tolist()
        return self._candidates[block]

    def _is_open(self, thing: int, ideal: int) -> bool:
        start, end, readers, made, full = self._table(thing)
        if not start <= ideal < end:
            return False
        return bool((readers[ideal - start] or made[ideal - start]) and not full[ideal - start])

    def _is_finished(self, thing: int, ideal: int) -> bool:
        start, end, _, _, full = self._table(thing)
        return ideal >= end or (ideal >= start and bool(full[ideal - start]))

    def _table(self, thing: int) -> tuple[int, int, Ints, Bits, Bits]:
        """Where its ideals start and end; at each its readers held, whether its maker, whether all."""
        if thing not in self._tables:
            self._tables[thing] = self._count(thing)
        return self._tables[thing]

    def _count(self, thing: int) -> tuple[int, int, Ints, Bits, Bits]:
        spans, starts = self.spans, self.lattice.starts
        start, end = int(starts[spans.first[thing]]), int(starts[spans.last[thing] + 1])
        readers, made = np.zeros(end - start, np.int64), np.zeros(end - start, bool)
        has_maker = False
        for member in self._order[self._starts[thing] : self._starts[thing + 1]].tolist():
            block, place = int(spans.block[member]), int(spans.place[member])
            low, high = int(starts[block]) - start, int(starts[block + 1]) - start
            held = self.lattice.blocks[block - 1].bits[:, place]
            if spans.makes[member]:
                has_maker = True
                made[low:high], made[high:] = held, True
            else:
                readers[low:high] += held
                readers[high:] += 1
        full = (readers == spans.total[thing]) & (made if has_maker else True)
        return start, end, readers, made, full
