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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Starts and ends of stages in one table: a row for each move, a column for each block from its first start on."""

    shape: tuple[int, int]
    level: Ints
    """[starts] Of the two powers of 2 blocks that together cover those from its own to its reach; where they begin:"""
    lows: tuple[Ints, Ints]
    far: Ints
    """[starts] The first block beyond its reach: from there on both borders count."""
    work: Floats
    """[starts] Of the units before it; and less what its border costs:"""
    leave: Floats
    place: Ints
    """[ends] Its block."""
    done: Floats
    """[ends] Work of the units up to it; and with what its border costs:"""
    arrive: Floats

    def spread(self, amounts: Floats) -> Floats:
        """[moves · blocks] At each block the most of the starts that it lies within reach of."""
        near = np.full((int(self.level.max()) + 1, *self.shape), _LEAST)
        for low in self.lows:
            np.maximum.at(near.ravel(), self.level * near[0].size + low, amounts)
        for upper in range(len(near) - 1, 0, -1):
            half, lower = 1 << (upper - 1), near[upper - 1]
            np.maximum(lower, near[upper], out=lower)
            np.maximum(lower[:, half:], near[upper, :, :-half], out=lower[:, half:])
        return near[0].ravel()

    def gather(self, amounts: Floats) -> Floats:
        """[starts] The least of the ends in the blocks within reach of each start."""
        near = np.full((int(self.level.max()) + 1, *self.shape), -_LEAST)
        np.minimum.at(near[0].ravel(), self.place, amounts)
        for upper in range(1, len(near)):
            half = 1 << (upper - 1)
            near[upper] = near[upper - 1]
            np.minimum(near[upper, :, :-half], near[upper - 1, :, half:], out=near[upper, :, :-half])
        return np.minimum(*(near.ravel()[self.level * near[0].size + low] for low in self.lows))


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
        frame, limit = self._frame(moves.held, moves.asked, channels), limits[moves.asked.move]
        far = np.full(frame.shape, _LEAST)
        np.maximum.at(far.ravel(), frame.far, frame.leave)
        far, near = np.maximum.accumulate(far, axis=1).ravel(), frame.spread(frame.work)
        return (frame.arrive - far[frame.place] <= limit) | (frame.done - near[frame.place] <= limit)

    def reaching(self, moves: Moves, channels: Ints, limits: Floats) -> Bits:
        """[asked] Which ideals reach some of those held.

        Args:
            moves: each asks about ideals in blocks that are not after its last held one.
            channels: [moves]
            limits: [moves] of what a stage pays.
        """
        frame, limit = self._frame(moves.asked, moves.held, channels), limits[moves.asked.move]
        far = np.full(frame.shape, -_LEAST)
        np.minimum.at(far.ravel(), frame.place, frame.arrive)
        far = np.minimum.accumulate(far[:, ::-1], axis=1)[:, ::-1].ravel()
        return (far[frame.far] - frame.leave <= limit) | (frame.gather(frame.done) - frame.work <= limit)

    def _frame(self, starts: _Flat, ends: _Flat, channels: Ints) -> _Frame:
        first, reach = self._block[starts.first], self._reach[starts.ideal]
        width = int(max((reach - first[starts.move]).max(), (self._block[ends.last] - first).max())) + 2
        row = np.arange(len(first)) * width - first
        at, start, end = row[starts.move], (channels[starts.move], starts.ideal), (channels[ends.move], ends.ideal)
        return _Frame(
            shape=(len(first), width),
            level=self._level[starts.ideal],
            lows=(at + self._block[starts.ideal], at + self._second[starts.ideal]),
            far=at + reach + 1,
            work=self.work[start],
            leave=self.work[start] - self._left[start],
            place=row[ends.move] + self._block[ends.ideal],
            done=self.work[end],
            arrive=self.work[end] + self._right[end],
        )
