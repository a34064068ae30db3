"""All ideals of a partial order, and which values are open at each.

A value is *open* at an ideal if some of the units that make or read it lie inside and some outside. What a stage
J − I pays for values is what is open at I and at J, less a correction for values open at both (`loads`).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints, product
from partwise.planning.ideals.blocks import Blocks, Orders, blocks, no_orders, topological
from partwise.planning.ideals.instance import Channel, Instance
from partwise.planning.ideals.opened import Opened, Spans, opened

__all__ = ["Lattice", "Spans", "lattice"]


class Lattice:
    """The ideals of an instance, small ones first: 0 is the empty one, the last one holds all units.

    Attributes:
        blocks: blocks in order; block b of the attributes below is `blocks[b - 1]`, block 0 the empty ideal.
        starts: [blocks + 2] index of the first ideal of each block.
        block: [ideals] in which block an ideal ends.
        complete: whether these are all ideals there are.
    """

    def __init__(self, instance: Instance, found: Blocks) -> None:
        self.instance, self.blocks = instance, found
        sizes = np.concatenate(([1], found.sizes))
        self.starts: Ints = np.concatenate(([0], np.cumsum(sizes)))
        self.block: Ints = np.repeat(np.arange(len(sizes)), sizes)
        self.complete = all(complete for _, complete in found.tables)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @cached_property
    def home(self) -> tuple[Ints, Ints]:
        """[units] The block of each unit and its column there."""
        block, column = (np.zeros(self.instance.units, np.int64) for _ in range(2))
        order, starts = self.blocks.order, self.blocks.starts
        block[order] = np.repeat(np.arange(len(self.blocks)), np.diff(starts)) + 1
        column[order] = np.arange(len(order)) - starts[block[order] - 1]
        return block, column

    @cached_property
    def values(self) -> Spans:
        """The values, by their maker and readers."""
        readers, made = self.instance.readers, np.arange(len(self.instance.maker))
        return self._spans(
            np.concatenate((readers.unit, self.instance.maker)),
            np.concatenate((readers.item, made)),
            np.repeat((False, True), (len(readers.unit), len(made))),
            len(made),
        )

    @cached_property
    def opened(self) -> tuple[Opened, ...]:
        """Which values are open at the ideals inside wide blocks."""
        return tuple(opened(self.blocks, self.values))

    @cached_property
    def items(self) -> Spans:
        """The items, by the units that need them."""
        needs = self.instance.needs
        return self._spans(needs.unit, needs.item, np.zeros(len(needs.unit), bool), len(self.instance.held.again))

    def between(self, start: int, end: int) -> Ints:
        """The units of one ideal that are not in another, ascending."""
        found = np.zeros(self.instance.units, bool)
        for ideal, is_held in ((end, True), (start, False)):
            block = int(self.block[ideal])
            if block:
                inside = self.blocks[block - 1]
                found[self.blocks.order[: self.blocks.starts[block - 1]]] = is_held
                found[inside.units[inside.bits[ideal - self.starts[block]]]] = is_held
        return np.flatnonzero(found)

    def holding(self, unit: int) -> Bits:
        """[ideals] Which ideals hold a unit."""
        block, place = (int(home[unit]) for home in self.home)
        found = self.block > block
        found[self.starts[block] : self.starts[block + 1]] = self.blocks.ideals(block - 1)[:, place]
        return found

    def work(self, channel: Channel) -> Floats:
        """[ideals] What all units of an ideal pay, added up."""
        found, total = np.zeros(len(self)), np.zeros(len(self.blocks))
        for which, units, bits in self.blocks.alike():
            amounts = product(bits.astype(np.float64), channel.work[units].T).T
            found[self.starts[which + 1][:, None] + np.arange(len(bits))] = amounts
            total[which] = amounts[:, -1]
        return found + np.concatenate(([0.0, 0.0], np.cumsum(total)[:-1]))[self.block]

    def _spans(self, unit: Ints, thing: Ints, makes: Bits, count: int) -> Spans:
        block, column = self.home[0][unit], self.home[1][unit]
        order = np.lexsort((thing, block))
        first, last = np.full(count, len(self.blocks) + 1), np.zeros(count, np.int64)
        np.minimum.at(first, thing, block)
        np.maximum.at(last, thing, block)
        return Spans(
            block=block[order],
            thing=thing[order],
            place=column[order],
            makes=makes[order],
            first=first,
            last=last,
            total=np.bincount(thing[~makes], minlength=count),
            starts=np.searchsorted(block[order], np.arange(len(self.blocks) + 3)),
        )


def lattice(instance: Instance, most: int, others: Orders = no_orders) -> Lattice:
    """The ideals of an instance.

    Args:
        instance: its edges are without a cycle.
        most: ideals that a block may have; of one with more only the prefixes of the orders are taken.
        others: makes the topological orders beside the first.
    """
    order = topological(instance.units, instance.edges)
    return Lattice(instance, blocks(order, instance.edges, most, others))
