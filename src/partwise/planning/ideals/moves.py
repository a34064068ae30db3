"""One stage more, for many vectors of devices at once: which ideals some others reach, or are reached from.

A *move* asks it of one type of device: some ideals are held, others are asked about. All moves are answered together,
each in a row of tables over the blocks: what is far enough from a held ideal that both borders count, and what is near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints
from partwise.planning.ideals.borders import Borders
from partwise.planning.ideals.lattice import Lattice

__all__ = ["Moves", "Prices"]

_LEAST = -1e300  # no ideal; finite, so that sums stay comparable


@dataclass(frozen=True, slots=True)
class _Flat:
    """Some ideals of each move, ascending; one move's after the other's."""

    move: Ints
    ideal: Ints
    first: Ints
    """[moves]"""
    last: Ints
    """[moves]"""

    @classmethod
    def of(cls, rows: Sequence[Ints]) -> _Flat:
        """Of a list for each move; none is empty."""
        move = np.arange(len(rows)).repeat([len(row) for row in rows])
        ends = ([row[end] for row in rows] for end in (0, -1))
        return cls(move, np.concatenate(rows), *(np.array(end, np.int64) for end in ends))


class Moves:
    """What is asked.

    Args:
        held: for each move the ideals at one end of its stage.
        asked: for each move those that may be at the other.
    """

    def __init__(self, held: Sequence[Ints], asked: Sequence[Ints]) -> None:
        self.held, self.asked = _Flat.of(held), _Flat.of(asked)


class Prices:
    """What stages of one lattice pay at least.

    Attributes:
        work: [channels, ideals] what the units of an ideal pay, added up.
    """

    def __init__(self, lattice: Lattice, work: Floats, found: Borders) -> None:
        self.work, self._left, self._right = work, found.left, found.right
        self._block, self._reach = lattice.block, found.reach
        self._level: Ints = np.floor(np.log2(found.reach - lattice.block + 1) + 1e-12).astype(np.int64)
        self._second: Ints = found.reach - (1 << self._level) + 1

    def reached(self, moves: Moves, channels: Ints, limits: Floats) -> Bits:
        """[asked] Which ideals some of those held reach.

        Args:
            moves: each asks about ideals in blocks that are not before its first held one.
            channels: [moves]
            limits: [moves] of what a stage pays.
        """
        held, asked, block = moves.held, moves.asked, self._block
        first, reach = block[held.first], self._reach[held.ideal]
        width = int(max((reach - first[held.move]).max(), (block[asked.last] - first).max())) + 2
        row = np.arange(len(first)) * width - first
        at, work = row[held.move], self.work[channels[held.move], held.ideal]
        far = np.full((len(row), width), _LEAST)
        np.maximum.at(far.ravel(), at + reach + 1, work - self._left[channels[held.move], held.ideal])
        np.maximum.accumulate(far, axis=1, out=far)
        level = self._level[held.ideal]
        near = np.full((int(level.max()) + 1, *far.shape), _LEAST)
        for low in (block[held.ideal], self._second[held.ideal]):
            np.maximum.at(near.ravel(), level * far.size + at + low, work)
        for upper in range(len(near) - 1, 0, -1):
            half, lower = 1 << (upper - 1), near[upper - 1]
            np.maximum(lower, near[upper], out=lower)
            np.maximum(lower[:, half:], near[upper, :, :-half], out=lower[:, half:])
        channel, place = channels[asked.move], row[asked.move] + block[asked.ideal]
        after, limit = self.work[channel, asked.ideal], limits[asked.move]
        is_far = after + self._right[channel, asked.ideal] - far.ravel()[place] <= limit
        return is_far | (after - near[0].ravel()[place] <= limit)

    def reaching(self, moves: Moves, channels: Ints, limits: Floats) -> Bits:
        """[asked] Which ideals reach some of those held.

        Args:
            moves: each asks about ideals in blocks that are not after its last held one.
            channels: [moves]
            limits: [moves] of what a stage pays.
        """
        held, asked, block = moves.held, moves.asked, self._block
        first, reach = block[asked.first], self._reach[asked.ideal]
        width = int(max((reach - first[asked.move]).max(), (block[held.last] - first).max())) + 2
        row = np.arange(len(first)) * width - first
        channel, place = channels[held.move], row[held.move] + block[held.ideal]
        work, far = self.work[channel, held.ideal], np.full((len(row), width), -_LEAST)
        np.minimum.at(far.ravel(), place, work + self._right[channel, held.ideal])
        far = np.minimum.accumulate(far[:, ::-1], axis=1)[:, ::-1].ravel()
        level = self._level[asked.ideal]
        near = np.full((int(level.max()) + 1, len(row), width), -_LEAST)
        np.minimum.at(near[0].ravel(), place, work)
        for upper in range(1, len(near)):
            half = 1 << (upper - 1)
            near[upper] = near[upper - 1]
            np.minimum(near[upper, :, :-half], near[upper - 1, :, half:], out=near[upper, :, :-half])
        channel, at = channels[asked.move], row[asked.move]
        before, limit = self.work[channel, asked.ideal], limits[asked.move]
        both = (near.ravel()[level * far.size + at + low] for low in (block[asked.ideal], self._second[asked.ideal]))
        is_far = far[at + reach + 1] - (before - self._left[channel, asked.ideal]) <= limit
        return is_far | (np.minimum(*both) - before <= limit)
