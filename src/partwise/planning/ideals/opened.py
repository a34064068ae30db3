"""Which values are open at the ideals inside wide blocks: worked out once for blocks that look the same.

A model's layers repeat, and so do its blocks: the same ideals, the same makers and readers at the same places, values
that come from before or go on after it. What is open where is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints
from partwise.planning.ideals.blocks import Blocks

__all__ = ["Opened", "Spans", "opened"]


@dataclass(frozen=True, slots=True)
class Spans:
    """Things that several units have in common, seen from the blocks: values (maker and readers) or items.

    Attributes:
        block, thing: [members] where in the order a member lies, and what it is a member of; by block, then thing.
        place: [members] column of the member's unit in its block.
        makes: [members] whether the member makes the value; else it reads it.
        first, last: [things] the blocks of the first and the last member.
        total: [things] readers.
        starts: [blocks + 1] where the members of a block begin.
    """

    block: Ints
    thing: Ints
    place: Ints
    makes: Bits
    first: Ints
    last: Ints
    total: Ints
    starts: Ints

    def makers(self) -> Ints:
        """[things] The block of each value's maker."""
        found = np.zeros(len(self.first), np.int64)
        found[self.thing[self.makes]] = self.block[self.makes]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Blocks that look the same, at each of their ideals but the last.

    Attributes:
        blocks: [blocks] their numbers.
        things: [blocks, values] the values with a member there.
        is_open, is_made: [ideals, values] whether a value is open, and whether its maker is inside.
        before, after: [values] 1 for one that is open from before the block until after it, made before or after it.
    """

    blocks: Ints
    things: Ints
    is_open: Bits
    is_made: Bits
    before: Floats
    after: Floats


def opened(blocks: Blocks, values: Spans) -> Iterator[Opened]:
    """The wide blocks in groups that look the same.

    Args:
        blocks: of a partial order.
        values: by their makers and readers.
    """
    rank, flags = _ranks(values), _flags(values)
    code = ((values.place << 20 | rank) << 4) | flags
    groups: dict[tuple[int, bytes], list[int]] = {}
    starts: list[int] = values.starts.tolist()
    wide = np.flatnonzero(blocks.sizes > 1)
    for number, shape in zip((wide + 1).tolist(), blocks.shape[wide].tolist(), strict=True):
        groups.setdefault((shape, code[starts[number] : starts[number + 1]].tobytes()), []).append(number)
    for (shape, _), numbers in groups.items():
        yield _opened(blocks.tables[shape][0][:-1], values, np.array(numbers), rank, flags)


def _ranks(values: Spans) -> Ints:
    """[members] The place of a member's thing among the things of its block."""
    new = np.ones(len(values.thing), bool)
    new[1:] = (values.thing[1:] != values.thing[:-1]) | (values.block[1:] != values.block[:-1])
    count = np.cumsum(new)
    return count - count[values.starts[values.block]]


def _flags(values: Spans) -> Ints:
    """[members] Whether it makes its thing, and whether that begins before the block, ends after it, is made before."""
    thing, block, makers = values.thing, values.block, values.makers()
    bits = (values.makes, values.first[thing] < block, values.last[thing] > block, makers[thing] < block)
    return np.sum([flag.astype(np.int64) << shift for shift, flag in enumerate(bits)], axis=0)


def _opened(bits: Bits, values: Spans, numbers: Ints, rank: Ints, flags: Ints) -> Opened:
    span = slice(values.starts[numbers[0]], values.starts[numbers[0] + 1])
    place, column, flag = values.place[span], rank[span], flags[span]
    first = np.unique(column, return_index=True)[1]
    _, comes, goes, is_old = ((flag[first] >> shift & 1).astype(bool) for shift in range(4))
    members = np.zeros((bits.shape[1], len(first)), np.float32)
    np.add.at(members, (place, column), 1)
    inside = bits.astype(np.float32) @ members
    makes = (flag & 1).astype(bool)
    is_made = np.broadcast_to(is_old, inside.shape).copy()
    is_made[:, column[makes]] = bits[:, place[makes]]
    passing = comes & goes
    rows = values.starts[numbers][:, None] + first
    later = ~is_old & ~np.isin(np.arange(len(first)), column[makes])
    return Opened(
        blocks=numbers,
        things=values.thing[rows],
        is_open=(comes | (inside > 0)) & (goes | (inside < members.sum(axis=0))),
        is_made=is_made,
        before=(passing & is_old).astype(np.float64),
        after=(passing & later).astype(np.float64),
    )
