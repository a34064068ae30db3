"""A partial order in blocks that follow one another, and the ideals of each.

A unit comparable to every other one is a *bottleneck*: everything before it is finished when it starts. Between
two bottlenecks lies a block whose units may run in several orders. An ideal (a set closed under predecessors)
holds whole blocks up to one, and there an ideal of the block: so real graphs have few.
Source: the bottleneck test is ours: a unit is one if it is the only sink of its prefix and the only source of
its suffix in a topological order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import overload

import numpy as np

from partwise.planning.arrays import Bits, Ints

__all__ = ["Block", "Blocks", "Orders", "blocks", "no_orders", "topological"]


@dataclass(frozen=True, slots=True)
class Block:
    """Units between two bottlenecks, or one bottleneck."""

    units: Ints
    """[width] In topological order."""
    bits: Bits
    """[ideals, width] The non-empty ideals of the block, small ones first; the last one is the whole block."""
    complete: bool
    """Whether these are all its ideals."""


Orders = Callable[[], Sequence[Ints]]
"""Makes topological orders; asked only where a block has too many ideals."""


def no_orders() -> Sequence[Ints]:
    """None beside the first."""
    return ()


def topological(units: int, edges: Ints) -> Ints:
    """The units in a topological order, the smallest number first among those that are ready.

    Raises:
        ValueError: the edges form a cycle.
    """
    if (edges[:, 0] < edges[:, 1]).all():
        return np.arange(units)
    after: list[list[int]] = [[] for _ in range(units)]
    waiting = [0] * units
    pairs: list[list[int]] = edges.tolist()
    for one, other in pairs:
        after[one].append(other)
        waiting[other] += 1
    ready = [unit for unit in range(units) if not waiting[unit]]
    heapify(ready)
    found: list[int] = []
    while ready:
        unit = heappop(ready)
        found.append(unit)
        for other in after[unit]:
            waiting[other] -= 1
            if not waiting[other]:
                heappush(ready, other)
    if len(found) < units:
        raise ValueError("cycle")
    return np.array(found, np.int64)


class Blocks(Sequence[Block]):
    """The blocks of a partial order, first to last; equal ones share their ideals.

    Attributes:
        order: [units] in topological order.
        starts: [blocks + 1] where the units of each block begin in it.
        shape: [blocks] which of the tables holds its ideals.
        tables: ideals of a block, and whether these are all.
    """

    def __init__(self, order: Ints, starts: Ints, shape: Ints, tables: Sequence[tuple[Bits, bool]]) -> None:
        self.order, self.starts, self.shape, self.tables = order, starts, shape, tuple(tables)
        self.sizes: Ints = np.array([len(bits) for bits, _ in tables], np.int64)[shape]

    def __len__(self) -> int:
        return len(self.shape)

    @overload
    def __getitem__(self, index: int) -> Block: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Block]: ...
    def __getitem__(self, index: int | slice) -> Block | Sequence[Block]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        number = index % len(self)
        units = self.order[self.starts[number] : self.starts[number + 1]]
        return Block(units, *self.tables[int(self.shape[number])])

    def ideals(self, number: int) -> Bits:
        """The non-empty ideals of a block."""
        return self.tables[int(self.shape[number])][0]

    def alike(self) -> Iterator[tuple[Ints, Ints, Bits]]:
        """For each table: the numbers of its blocks, their units [blocks, width], and their ideals."""
        by_shape = np.argsort(self.shape, kind="stable")
        ends = np.searchsorted(self.shape[by_shape], np.arange(len(self.tables) + 1))
        for number, (bits, _) in enumerate(self.tables):
            which = by_shape[ends[number] : ends[number + 1]]
            yield which, self.order[self.starts[which][:, None] + np.arange(bits.shape[1])], bits


def blocks(order: Ints, edges: Ints, most: int, others: Orders = no_orders) -> Blocks:
    """The blocks of a partial order.

    Args:
        order: the units in a topological order.
        edges: [edges, 2].
        most: ideals that a block may have; of one with more only those that are a prefix in one of the orders.
        others: makes further topological orders.
    """
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    placed = position[edges].reshape(-1, 2)
    starts = _starts(placed, len(order))
    home = np.searchsorted(starts, placed, "right") - 1
    inner = placed[home[:, 0] == home[:, 1]]
    inner = inner[np.lexsort((inner[:, 0], inner[:, 1]))]
    block = np.searchsorted(starts, inner[:, 1], "right") - 1
    rows = np.searchsorted(block, np.arange(len(starts))).tolist()
    within, widths = inner - starts[block][:, None], np.diff(starts)
    maker = _Tables(most, order, others)
    shape = np.zeros(len(widths), np.int64)
    if (widths == 1).any():
        shape[:] = maker.of(1, within[:0], 0)
    for number in np.flatnonzero(widths > 1).tolist():
        shape[number] = maker.of(int(widths[number]), within[rows[number] : rows[number + 1]], int(starts[number]))
    return Blocks(order, starts, shape, maker.tables)


class _Tables:
    """The ideals of blocks, made once for equal ones."""

    def __init__(self, most: int, order: Ints, others: Orders) -> None:
        self.tables: list[tuple[Bits, bool]] = []
        self._most, self._order, self._others = most, order, others
        self._known: dict[tuple[int, bytes], int] = {}
        self._ranks: list[Ints] | None = None

    def of(self, width: int, edges: Ints, start: int) -> int:
        """The number of the table of a block.

        Args:
            width: its units.
            edges: inside it, from and to its columns.
            start: where it begins in the order.
        """
        key = width, edges.tobytes()
        if key not in self._known:
            table = self._ideals(width, edges) or (_prefixes(self._order[start : start + width], self._others_at()), 0)
            self.tables.append((table[0], bool(table[1])))
            if not table[1] and self._others_at():
                return len(self.tables) - 1  # of these units, not of the shape
            self._known[key] = len(self.tables) - 1
        return self._known[key]

    def _ideals(self, width: int, edges: Ints) -> tuple[Bits, int] | None:
        """All ideals; None where there are too many."""
        if width > 1 and not self._most:
            return None
        before = [0] * width
        for one, other in edges.tolist():
            before[other] |= 1 << one
        masks = _ideals(before, self._most)
        return (_bits(masks, width), 1) if masks else None

    def _others_at(self) -> Sequence[Ints]:
        """For each further order the place of every unit."""
        if self._ranks is None:
            self._ranks = [np.argsort(order) for order in self._others()]
        return self._ranks


def _starts(edges: Ints, units: int) -> Ints:
    """Positions at which blocks begin, and the end."""
    here = np.arange(units)
    first = np.full(units, units)
    np.minimum.at(first, edges[:, 0], edges[:, 1])
    last = np.full(units, -1)
    np.maximum.at(last, edges[:, 1], edges[:, 0])
    sinks, sources = np.zeros(units + 1, np.int64), np.zeros(units + 1, np.int64)
    sinks[:units] += 1
    np.subtract.at(sinks, first, 1)
    np.add.at(sources, last + 1, 1)
    np.subtract.at(sources, here + 1, 1)
    alone = (np.cumsum(sinks)[:units] == 1) & (np.cumsum(sources)[:units] == 1)
    bottlenecks = np.flatnonzero(alone)
    return np.unique(np.concatenate(([0], bottlenecks, bottlenecks + 1, [units])))


def _ideals(before: Sequence[int], most: int) -> list[int]:
    """Masks of the non-empty ideals, by size; none where there are more than `most`."""
    after = [[other for other, needed in enumerate(before) if needed >> node & 1] for node in range(len(before))]
    found, level = list[int](), {0: sum(1 << node for node, needed in enumerate(before) if not needed)}
    for _ in before:
        larger: dict[int, int] = {}
        for mask, ready in level.items():
            rest = ready
            while rest:
                low = rest & -rest
                rest ^= low
                if (grown := mask | low) not in larger:
                    freed = (other for other in after[low.bit_length() - 1] if not before[other] & ~grown)
                    larger[grown] = (ready ^ low) | sum(1 << other for other in freed)
            if len(found) + len(larger) > most:  # a whole level of many units side by side may fill the memory
                return []
        level = larger
        found.extend(sorted(level))
    return found


def _bits(masks: Sequence[int], width: int) -> Bits:
    size = (width + 7) // 8
    raw = np.frombuffer(b"".join(mask.to_bytes(size, "little") for mask in masks), np.uint8)
    return np.unpackbits(raw.reshape(-1, size), axis=1, count=width, bitorder="little").astype(bool)


def _prefixes(units: Ints, ranks: Sequence[Ints]) -> Bits:
    """The ideals of a block that are a prefix in one of the orders.

    Args:
        units: of the block, in the first order.
        ranks: for each further order the place of every unit.
    """
    found = [np.tri(len(units), dtype=bool)]
    for rank in ranks:
        place = np.argsort(np.argsort(rank[units]))
        found.append(place[None, :] <= np.arange(len(units))[:, None])
    rows = np.unique(np.concatenate(found), axis=0) if ranks else found[0]
    return rows[np.argsort(rows.sum(axis=1), kind="stable")]
