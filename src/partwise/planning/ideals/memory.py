"""What a stage needs of memory at least, in whatever order its nodes run.

While a unit runs, its own inputs and outputs are alive, and every value that an ancestor made and a descendant
reads; those that merely pass the stage by (made before it, read after it) are not there. The liveness peak of a
real order is never below this estimate, and mostly equals it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints
from partwise.planning.ideals.instance import Channel, Instance
from partwise.planning.ideals.lattice import Lattice

__all__ = ["Peaks", "memory_channels"]


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
            alive = instance.working[block.units] + passing[number] * instance.is_simple[block.units]
            if len(block.units) > 1:
                alive = alive + _beside(instance, lattice, number) * instance.is_simple[block.units]
            blocks.append(float(alive.max()))
            before.append(np.where(block.bits, alive, 0.0).max(axis=1))
            after.append(np.where(block.bits, 0.0, alive).max(axis=1))
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


def _beside(instance: Instance, lattice: Lattice, number: int) -> Floats:
    """[units] Bytes of values of a block, alive while one of its units runs that neither makes nor reads them."""
    block, values = lattice.blocks[number - 1], lattice.values
    comes_before = _precedes(block.bits) if block.complete else np.zeros((len(block.units),) * 2, bool)
    span = slice(values.starts[number], values.starts[number + 1])
    found = np.zeros(len(block.units))
    for thing in np.unique(values.thing[span]).tolist():
        here = values.thing[span] == thing
        place, makes = values.place[span][here], values.makes[span][here]
        is_made = comes_before[place[makes]].any(axis=0) if makes.any() else np.full(len(found), True)
        is_read = comes_before[:, place[~makes]].any(axis=1) | (values.last[thing] > number)
        is_own = np.zeros(len(found), bool)
        is_own[place] = True
        found += instance.value_bytes[thing] * (is_made & is_read & ~is_own)
    return found


def _precedes(bits: Bits) -> Bits:
    """[units, units] Whether the first is an ancestor of the second: no ideal holds the second without the first."""
    missing = (~bits).astype(np.float32).T @ bits.astype(np.float32)
    found = missing == 0
    np.fill_diagonal(found, False)
    return found
