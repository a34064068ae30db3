"""What a stage needs of memory at least: a lower estimate that few stages exceed.

While a unit runs, its own inputs and outputs are alive, and every value that was made and will be read; one that was
made before the stage and is read after it is let go at its last use here, so `Search` takes all of those off. Units
run in the order of their nodes. Of a small block that is worked out for each part that a stage may hold of it; of a
large one only for the whole, and for parts what is so in all of them: what an ancestor made and a descendant reads.
The liveness peak is never below this estimate, and mostly equals it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints, product
from partwise.planning.ideals.instance import Channel, Instance
from partwise.planning.ideals.lattice import Lattice

__all__ = ["Peaks", "memory_channels"]

_CELLS = 2_000_000_000  # ideals × units × values of a block, up to which each ideal is looked at; some 0.2 s


def memory_channels(instance: Instance) -> tuple[Channel, ...]:
    """Bytes held, received and sent by a stage."""
    units, items = np.zeros(instance.units), np.zeros(len(instance.held.again))
    none = np.zeros(len(instance.value_bytes))
    return (
        instance.held,
        Channel(work=units, receive=instance.value_bytes, send=none, again=items),
        Channel(work=units, receive=none, send=instance.value_bytes, again=items),
    )


@dataclass(frozen=True, slots=True)
class Peaks:
    """The most that is alive while some unit of a stage runs.

    Attributes:
        blocks: [blocks + 1] over the units of a block.
        before: [ideals] over the units of an ideal in its last block.
        after: [ideals] over the other units of that block.
    """

    blocks: Floats
    before: Floats
    after: Floats

    @classmethod
    def of(cls, instance: Instance, lattice: Lattice) -> Peaks:
        """The peaks of a lattice's units."""
        blocks, before, after = [0.0], [np.zeros(1)], [np.zeros(1)]
        passing = _passing(instance, lattice)
        for number, block in enumerate(lattice.blocks, 1):
            simple = instance.is_simple[block.units]
            alive = instance.working[block.units] + passing[number] * simple
            whole, until, since = (alive + beside * simple for beside in _beside(instance, lattice, number))
            blocks.append(float(whole.max()))
            before.append(np.where(block.bits, until, 0.0).max(axis=1))
            after.append(np.where(block.bits, 0.0, since).max(axis=1))
        return cls(np.array(blocks), np.concatenate(before), np.concatenate(after))

    def of_stages(self, lattice: Lattice, block: int, starts: Ints, ends: Ints) -> Floats:
        """[starts, ends] Of the stages from ideals of one block to ideals of it and later ones."""
        blocks = lattice.block[ends]
        between = np.maximum.accumulate(np.concatenate(([0.0], self.blocks[block + 1 :])))
        inside = between[np.maximum(blocks - block - 1, 0)]
        found = np.maximum(self.after[starts][:, None], np.maximum(inside, self.before[ends])[None, :])
        return np.where(blocks == block, 0.0, found)


def _passing(instance: Instance, lattice: Lattice) -> Floats:
    """[blocks + 1] Bytes of the values made before a block and read after it, none of whose readers is in it."""
    values, count = lattice.values, len(lattice.blocks) + 1
    makers = np.zeros(len(values.first), np.int64)
    makers[values.thing[values.makes]] = values.block[values.makes]
    change, size = np.zeros(count + 1), instance.value_bytes
    np.add.at(change, np.minimum(makers + 1, count), size)
    np.subtract.at(change, np.minimum(np.maximum(values.last, makers + 1), count), size)
    found = np.cumsum(change)[:count]
    inside = (values.block > makers[values.thing]) & (values.block < values.last[values.thing])
    pairs = np.unique(np.stack((values.block[inside], values.thing[inside]), axis=1), axis=0)
    np.subtract.at(found, pairs[:, 0], size[pairs[:, 1]])
    return found


def _beside(instance: Instance, lattice: Lattice, number: int) -> tuple[Floats, Floats, Floats]:
    """Bytes of values of a block, alive while one of its units runs that neither makes nor reads them.

    Returns:
        [units] in a stage that holds the whole block; [ideals, units] or [units] in one that ends, and in one that
        begins, at an ideal of it.
    """
    block, (first, last) = lattice.blocks[number - 1], instance.nodes[lattice.blocks[number - 1].units].T
    if len(block.units) == 1:
        return np.zeros(1), np.zeros(1), np.zeros(1)
    values = _Values.of(instance, lattice, number, first)
    runs_before = last[:, None] < first
    whole = values.between(runs_before).sum(axis=0)
    if block.bits.size * len(values.bytes) <= _CELLS:
        return whole, values.until(block.bits, runs_before), values.since(block.bits, runs_before)
    anyway = values.between(_precedes(block.bits)).sum(axis=0) if block.complete else np.zeros(len(first))
    return whole, anyway, anyway


@dataclass(frozen=True, slots=True)
class _Values:
    """The values that units of a block make or read.

    Attributes:
        bytes: of each.
        made: [values] the column of the unit that makes it; −1: it was made before the block.
        read: [values] the column of the last unit that reads it; −1: in a block after this one.
        others: [values, units] which units neither make nor read it.
    """

    bytes: Floats
    made: Ints
    read: Ints
    others: Bits

    @classmethod
    def of(cls, instance: Instance, lattice: Lattice, number: int, first: Ints) -> _Values:
        """Those of one block, given the first node of each of its units."""
        values = lattice.values
        span = slice(values.starts[number], values.starts[number + 1])
        things, row = np.unique(values.thing[span], return_inverse=True)
        place, makes = values.place[span], values.makes[span]
        made, read = np.full(len(things), -1), np.full(len(things), -1)
        made[row[makes]] = place[makes]
        order = np.argsort(first[place[~makes]], kind="stable")
        read[row[~makes][order]] = place[~makes][order]  # of several the last one stays
        read[values.last[things] > number] = -1
        others = np.ones((len(things), len(first)), bool)
        others[row, place] = False
        return cls(instance.value_bytes[things], made, read, others)

    def between(self, before: Bits) -> Floats:
        """[values, units] The bytes of values that were made before a unit runs and are read after it."""
        return self.bytes[:, None] * (self._is_made(before) & self._is_read(before) & self.others)

    def until(self, bits: Bits, before: Bits) -> Floats:
        """[ideals, units] In a stage that ends at an ideal: what is read outside is alive to the end."""
        made, sent = self._inside(bits, self.made, none=True), ~self._inside(bits, self.read, none=False)
        kept = self.bytes[:, None] * (self._is_made(before) & ~self._is_read(before) & self.others)
        return _total(made, self.between(before)) + _total(made & sent, kept)

    def since(self, bits: Bits, before: Bits) -> Floats:
        """[ideals, units] In a stage that begins at an ideal: what was made inside is there from the start."""
        made, read = self._inside(bits, self.made, none=True), self._inside(bits, self.read, none=False)
        given = self.bytes[:, None] * (self._is_read(before) & self.others)
        return _total(~made, self.between(before)) + _total(made & ~read, given)

    def _is_made(self, before: Bits) -> Bits:
        return before[self.made] | (self.made < 0)[:, None]

    def _is_read(self, before: Bits) -> Bits:
        return before[:, self.read].T | (self.read < 0)[:, None]

    def _inside(self, bits: Bits, columns: Ints, *, none: bool) -> Bits:
        """[ideals, values] Whether a unit of each value lies in each ideal."""
        return np.where(columns < 0, none, bits[:, columns])


def _total(which: Bits, amounts: Floats) -> Floats:
    """[ideals, units] The sum over the values that each ideal has."""
    return product(which.astype(np.float64), amounts)


def _precedes(bits: Bits) -> Bits:
    """[units, units] Whether the first is an ancestor of the second: no ideal holds the second without the first."""
    missing = (~bits).astype(np.float32).T @ bits.astype(np.float32)
    found = missing == 0
    np.fill_diagonal(found, False)
    return found
