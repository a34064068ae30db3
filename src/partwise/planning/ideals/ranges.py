"""Which ideals are worth a look with some devices used: those that they can have done, and that the others can finish.

A unit counts as the least share of all work that it is on any type of device. So a stage below a limit holds no more
of it than its device does of all work within the limit, less what the stage pays for values at its ends, unless it is
so short that it may pay for none. Shares add up: what some devices can have done, and what the others can finish, is
known before any stage is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from partwise.planning.arrays import Floats
from partwise.planning.ideals.borders import Borders
from partwise.planning.ideals.instance import Channel
from partwise.planning.ideals.lattice import Lattice
from partwise.planning.ideals.vectors import Vectors

__all__ = ["Range", "Ranges"]

_ROUNDING = 1e-9  # of all work; sums of floats in another order


@dataclass(frozen=True, slots=True)
class Range:
    """Blocks that follow one another, and their ideals; none where the last comes before the first."""

    first: int
    last: int
    ideals: slice


class Ranges:
    """The ranges of one lattice.

    Args:
        lattice: the ideals.
        load: [types] what is limited.
        borders: in its first channels those of the load.
    """

    def __init__(self, lattice: Lattice, load: Sequence[Channel], borders: Borders) -> None:
        self._starts = lattice.starts
        self._whole: Floats = np.array([channel.work.sum() for channel in load])
        self._scale = np.where(self._whole > 0, self._whole, 1.0)
        shares = np.min([channel.work / whole for channel, whole in zip(load, self._scale, strict=True)], axis=0)
        done = lattice.work(replace(load[0], work=shares))
        self._ends: Floats = done[lattice.starts[1:] - 1]
        self._short = float((self._ends[borders.reach] - done).max())
        self._fixed = np.array([channel.fixed for channel in load])
        sides = (side[: len(load), 1:-1] for side in (borders.left, borders.right))
        self._paid = np.array([side.min(axis=1, initial=np.inf) for side in sides])

    def of(self, vectors: Vectors, limit: float) -> list[Range]:
        """[vectors] Where the ideals are that some stages below a limit can reach, and the others can go on from."""
        most = np.minimum(limit - self._fixed, self._whole)
        inner = np.maximum((most - self._paid.sum(axis=0)) / self._scale, self._short)
        spare = float((self._paid / self._scale).max(axis=1).sum()) + _ROUNDING  # at both ends of the whole nobody pays
        left: Floats = self._ends[-1] - vectors.left @ inner - spare
        used: Floats = vectors.used @ inner + spare
        first, last = self._ends.searchsorted(left), self._ends[:-1].searchsorted(used, "right")
        return [self.between(*ends) for ends in zip(first.tolist(), last.tolist(), strict=True)]

    def between(self, first: int, last: int) -> Range:
        """The blocks from one to another, both included."""
        return Range(first, last, slice(int(self._starts[first]), int(self._starts[max(first, last + 1)])))
