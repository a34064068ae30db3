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
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from partwise.planning.problem import Ints

__all__ = ["Block", "Orders", "blocks", "no_orders", "topological"]

Bits = NDArray[np.bool_]


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


def blocks(order: Ints, edges: Ints, most: int, others: Orders = no_orders) -> Iterator[Block]:
    """The blocks of a partial order, first to last.

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
    home = np.searchsorted(starts, placed, "right")
    inner = placed[home[:, 0] == home[:, 1]]
    inner = inner[np.argsort(inner[:, 1], kind="stable")]
    at = np.searchsorted(inner[:, 1], starts).tolist()
    ranks: list[Ints] | None = None
    known: dict[tuple[int, ...], tuple[Bits, bool]] = {}
    for index, (start, end) in enumerate(pairwise(starts.tolist())):
        before = [0] * (end - start)
        for one, other in inner[at[index] : at[index + 1]].tolist():
            before[other - start] |= 1 << (one - start)
        shape = tuple(before)
        units = order[start:end]
        found = known.get(shape)
        if found is None:
            masks = _ideals(shape, most) if most or len(shape) == 1 else []
            if not masks and ranks is None:
                ranks = [np.argsort(other) for other in others()]
            found = (_bits(masks, len(shape)), True) if masks else (_prefixes(units, ranks or ()), False)
            if found[1]:
                known[shape] = found
        yield Block(units, *found)


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
        level = larger
        found.extend(sorted(level))
        if len(found) > most:
            return []
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
