"""What the stages that begin in one block pay, exactly, in every channel.

A stage J − I pays the work of its units, the borders at I and J, and once for each item it needs. A value open at
both ends is charged twice by the borders: once too often if the stage reads or makes it (it is not sent again), and
twice if it only passes by. Whether it passes by shows in how many of its members (readers and maker) each end
holds: as many at I as at J. Equal counts are products of indicators, so a whole block is one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints, product
from partwise.planning.ideals.borders import borders
from partwise.planning.ideals.instance import Channel
from partwise.planning.ideals.lattice import Lattice, Spans

__all__ = ["Loads"]


class Loads:
    """The prices of stages between two ideals of a lattice.

    Attributes:
        work: [channels, ideals] what the units of an ideal pay, added up.
    """

    def __init__(self, lattice: Lattice, channels: Sequence[Channel]) -> None:
        self.lattice = lattice
        self.work: Floats = np.stack([lattice.work(channel) for channel in channels])
        self._borders = borders(lattice, channels)
        self._fixed = np.array([channel.fixed for channel in channels])
        self._receive = np.stack([channel.receive for channel in channels])
        self._send = np.stack([channel.send for channel in channels])
        self._again = np.stack([channel.again for channel in channels])
        self._asks_again = bool(self._again.any())
        self._values, self._items = _Counts(lattice, lattice.values), _Counts(lattice, lattice.items)

    def contains(self, block: int, starts: Ints, ends: Ints) -> Bits:
        """[starts, ends] Which ideals are larger than which of one block.

        Args:
            block: of the starts.
            starts: ideals of the block.
            ends: ideals of this block and later ones.
        """
        found = np.ones((len(starts), len(ends)), bool)
        first, last = int(self.lattice.starts[block]), int(self.lattice.starts[block + 1])
        near = int(np.searchsorted(ends, last))
        if last - first == 1:
            found[:, :near] = False
            return found
        bits = self.lattice.blocks.ideals(block - 1)
        inside, outside = bits[starts - first].astype(np.float64), ~bits[ends[:near] - first]
        missing = product(inside, outside.T.astype(np.float64))
        found[:, :near] = (missing == 0) & (starts[:, None] != ends[None, :near])
        return found

    def prices(self, block: int, starts: Ints, ends: Ints) -> Floats:
        """[channels, starts, ends] The price of the stages from some ideals of a block to some of it and later ones.

        What it says of a pair whose end does not contain the start means nothing.
        """
        left = self._borders.left[:, starts] - self.work[:, starts] + self._fixed[:, None]
        right = self._borders.right[:, ends] + self.work[:, ends]
        saved = _Matches(len(starts))
        for value, held, there, total in self._values.around(block, starts, ends):
            is_open = (held > 0) & (held < total)
            if is_open.any():
                saved.add(is_open, there < total, self._send[:, value])
                saved.add_equal(held, there, is_open, self._receive[:, value])
        if self._asks_again:
            for item, held, there, total in self._items.around(block, starts, ends, ahead=True):
                is_open = held < total
                left = left + self._again[:, item, None] * is_open
                saved.add_equal(held, there, is_open, self._again[:, item])
        found = left[:, :, None] + right[:, None, :]
        amounts = saved.product()
        found[:, :, : amounts.shape[2]] -= amounts
        return found

    def borrowed(self, block: int, starts: Ints, ends: Ints) -> Floats:
        """[starts, ends] Bytes of the values made before the stages and read after them, whether in them too or not."""
        sizes, found = self.lattice.instance.value_bytes, _Matches(len(starts))
        for value, held, there, total in self._values.around(block, starts, ends):
            found.add((held > 0) & (held < total), there < total, sizes[value : value + 1])
        alive, amounts = np.zeros((len(starts), len(ends))), found.product()
        alive[:, : amounts.shape[2]] = amounts[0]
        return alive


class _Matches:
    """A sum of amounts, each paid where a start and an end both have some property."""

    def __init__(self, starts: int) -> None:
        self._count = starts
        self._starts: list[Bits] = []
        self._ends: list[Bits] = []
        self._amounts: list[Floats] = []

    def add(self, starts: Bits, ends: Bits, amounts: Floats) -> None:
        """Amounts [channels] paid where both are true; the ends may stop short of all."""
        self._starts.append(starts)
        self._ends.append(ends)
        self._amounts.append(amounts)

    def add_equal(self, held: Ints, there: Ints, chosen: Bits, amounts: Floats) -> None:
        """Amounts paid where a chosen start and an end hold equally many."""
        for count in np.bincount(held[chosen]).nonzero()[0].tolist():
            self.add(chosen & (held == count), there == count, amounts)

    def product(self) -> Floats:
        """[channels, starts, near ends] The sums; nothing is paid at ends further away."""
        if not self._amounts:
            return np.zeros((1, self._count, 0))
        ends = np.zeros((len(self._ends), max(len(found) for found in self._ends)))
        for row, found in zip(ends, self._ends, strict=True):
            row[: len(found)] = found
        starts, amounts = np.array(self._starts, np.float64), np.array(self._amounts)
        paid = amounts.T[:, None, :] * starts.T  # [channels, starts, properties]
        return product(paid.reshape(-1, len(amounts)), ends).reshape(*paid.shape[:2], -1)


class _Counts:
    """How many members of a thing each ideal holds; counted when first asked for."""

    def __init__(self, lattice: Lattice, spans: Spans) -> None:
        self.lattice, self.spans = lattice, spans
        self._order = np.argsort(spans.thing, kind="stable")
        self._starts = np.searchsorted(spans.thing[self._order], np.arange(len(spans.first) + 1))
        self._tables: dict[int, Ints] = {}
        self._furthest = np.zeros(len(lattice.starts), np.int64)  # of a block: where things that begin by then end
        np.maximum.at(self._furthest, spans.first, spans.last)
        np.maximum.accumulate(self._furthest, out=self._furthest)

    def around(
        self, block: int, starts: Ints, ends: Ints, *, ahead: bool = False
    ) -> Iterator[tuple[int, Ints, Ints, int]]:
        """Things with members in or around a block.

        Args:
            block: of the starts.
            starts: ideals of the block.
            ends: ideals of it and later ones, ascending.
            ahead: whether things that begin only after it count too.

        Things that end before all ends tell none apart.

        Yields:
            The thing; members held at the starts; those held at the ends below the thing's last block's end (beyond,
            all are held); all members.
        """
        nearest, furthest = (int(block) for block in self.lattice.block[ends[[0, -1]]])
        nearest, furthest = (block, furthest) if ahead else (nearest, block)
        if self._furthest[furthest] < nearest:
            return
        for thing in np.flatnonzero((self.spans.last >= nearest) & (self.spans.first <= furthest)).tolist():
            table = self._table(thing)
            first = int(self.lattice.starts[self.spans.first[thing]])
            near = ends[: np.searchsorted(ends, first + len(table))] - first
            yield thing, _held(table, starts - first), _held(table, near), int(table[-1])

    def _table(self, thing: int) -> Ints:
        """Members held at each ideal of the blocks from the thing's first to its last."""
        if thing not in self._tables:
            self._tables[thing] = self._count(thing)
        return self._tables[thing]

    def _count(self, thing: int) -> Ints:
        spans, starts = self.spans, self.lattice.starts
        start = int(starts[spans.first[thing]])
        whole = np.zeros(int(starts[spans.last[thing] + 1]) - start + 1, np.int64)
        inside, blocks = np.zeros_like(whole), self.lattice.blocks
        for member in self._order[self._starts[thing] : self._starts[thing + 1]].tolist():
            block, place = int(spans.block[member]), int(spans.place[member])
            low, high = int(starts[block]) - start, int(starts[block + 1]) - start
            inside[low:high] += blocks.ideals(block - 1)[:, place]
            whole[high] += 1
        return (np.cumsum(whole) + inside)[:-1]


def _held(table: Ints, at: Ints) -> Ints:
    """Members held at some places of a table; none before it."""
    return np.where(at < 0, 0, table[np.maximum(at, 0)])
