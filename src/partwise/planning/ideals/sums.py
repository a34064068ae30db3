"""What a chain of ideals costs at least, to and from each state, where the prices of stages add up.

A stage whose end lies beyond all that is open at its start costs a term of each end, so one running minimum answers
for all of them at once; the others, near their start, are priced one by one. What a stage pays once for several of its
units (items) and values that span very many blocks count in near stages alone: so the sums are never above the truth.
A state whose two sums together exceed a known value is on no better chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints
from partwise.planning.ideals.loads import Loads
from partwise.planning.ideals.reach import Reach
from partwise.planning.ideals.vectors import Vectors

__all__ = ["Sums"]

_MOST_NEAR = 100_000_000  # near stages times types of devices that are priced; some 20 s
_MOST_KEPT = 20_000_000  # of them that differ from those of a block before; 160 MB
_CELLS = 1_000_000  # stages priced at once

Fits = Callable[[int, Floats, tuple[Ints, Ints]], Bits]
"""[types, starts, ends] Which stages there are and keep the limits: from a block, their prices and their ends."""


@dataclass(frozen=True, slots=True)
class _Near:
    """The stages from some ideals of a block to those within reach of its open values.

    Attributes:
        first: of the ideals.
        ends: where the targets begin and end.
        price: [types, starts, ends] infinite where there is no stage.
    """

    first: int
    ends: slice
    price: Floats


class Sums:
    """The least sums of one lattice."""

    def __init__(self, reach: Reach, loads: Loads, fits: Fits, vectors: Vectors) -> None:
        self._reach, self._vectors = reach, vectors
        self._lattice, self._types = reach.lattice, len(vectors.counts)
        borders, work = reach.borders, reach.work[: self._types]
        fixed = np.array(reach.fixed[: self._types])[:, None]
        self._leave: Floats = borders.left[: self._types] - work + fixed
        self._enter: Floats = borders.right[: self._types] + work
        self._steps = [(np.flatnonzero(more >= 0), more[more >= 0]) for more in vectors.more]
        self.is_whole = True
        """Whether there was room for the near stages."""
        self._near = self._priced(loads, fits)

    @classmethod
    def of(cls, reach: Reach, loads: Loads, fits: Fits, vectors: Vectors) -> Sums | None:
        """None where too many stages are near."""
        starts, block = reach.lattice.starts, reach.lattice.block
        near = float((starts[reach.borders.reach + 1] - starts[block]).sum())
        found = cls(reach, loads, fits, vectors) if near * len(vectors.counts) <= _MOST_NEAR else None
        return found if found is not None and found.is_whole else None

    def _priced(self, loads: Loads, fits: Fits) -> list[_Near]:
        """The near stages; blocks that look alike share their prices."""
        lattice, found, known = self._lattice, list[_Near](), dict[bytes, Floats]()
        for block in range(len(lattice.blocks) + 1):
            first, after = int(lattice.starts[block]), int(lattice.starts[block + 1])
            last = int(lattice.starts[int(self._reach.borders.reach[first:after].max()) + 1])
            ends, step = np.arange(first, last), max(1, _CELLS // (last - first))
            for start in range(first, after, step):
                starts = np.arange(start, min(start + step, after))
                price = loads.prices(block, starts, ends)
                there = fits(block, price, (starts, ends))
                is_near = lattice.block[ends] <= self._reach.borders.reach[starts][:, None]
                near = np.ascontiguousarray(np.where(there & is_near, price[: self._types], np.inf))
                near = known.setdefault(sha256(near.data).digest(), near)
                found.append(_Near(start, slice(first, last), near))
                if sum(each.size for each in known.values()) > _MOST_KEPT:
                    self.is_whole = False
                    return []
        return found

    def to(self, kept: Bits) -> Floats:
        """[vectors, ideals] What a chain costs at least from nothing to each of the states that may be used."""
        lattice, reach = self._lattice, self._reach.borders.reach
        found = np.full(kept.shape, np.inf)
        found[0, 0] = 0.0
        best = np.full((self._types, len(self._vectors)), np.inf)  # of the ideals that this block lies beyond
        later = [list[int]() for _ in range(len(lattice.starts))]
        done = -1
        for near in self._near:
            block = int(lattice.block[near.first])
            if block > done:
                done = block
                here = slice(int(lattice.starts[block]), int(lattice.starts[block + 1]))
                ready = np.array(later[block], np.int64)
                for kind, (before, after) in enumerate(self._steps):
                    if len(ready):
                        left = (found[:, ready] + self._leave[kind, ready]).min(axis=1)
                        best[kind] = np.minimum(best[kind], left)
                    far = best[kind][before][:, None] + self._enter[kind, here]
                    found[after, here] = np.minimum(found[after, here], np.where(kept[after, here], far, np.inf))
            self._from_near(found, kept, near)
            for ideal in range(near.first, near.first + near.price.shape[1]):
                later[int(reach[ideal]) + 1].append(ideal)
        return found

    def _from_near(self, found: Floats, kept: Bits, near: _Near) -> None:
        for row in range(near.price.shape[1]):
            for kind, (before, after) in enumerate(self._steps):
                reached = found[before, near.first + row]
                chosen = np.flatnonzero(np.isfinite(reached))
                if len(chosen):
                    ends = after[chosen]
                    value = reached[chosen][:, None] + near.price[kind, row]
                    value[~kept[ends, near.ends]] = np.inf
                    found[ends, near.ends] = np.minimum(found[ends, near.ends], value)

    def on(self, kept: Bits) -> Floats:
        """[vectors, ideals] The same from each state to the whole."""
        lattice, reach = self._lattice, self._reach.borders.reach
        found = np.full(kept.shape, np.inf)
        ends = np.arange(len(self._vectors)) if self._vectors.exactly is None else self._vectors.final
        found[ends, -1] = 0.0
        best = np.full((self._types, len(self._vectors), len(lattice.starts)), np.inf)  # [.., block] there and beyond
        done = len(lattice.starts) - 1
        for near in reversed(self._near):
            block = int(lattice.block[near.first])
            if block < done - 1:
                done = self._beyond(found, best, done)
            here = slice(near.first, near.first + near.price.shape[1])
            for kind, (before, after) in enumerate(self._steps):
                far = best[kind][after][:, reach[here] + 1] + self._leave[kind, here]
                found[before, here] = np.minimum(found[before, here], np.where(kept[before, here], far, np.inf))
            self._to_near(found, near, kept)
        return found

    def _beyond(self, found: Floats, best: Floats, done: int) -> int:
        """Take in a block whose states are finished: the least from it and all later ones."""
        block = done - 1
        here = slice(int(self._lattice.starts[block]), int(self._lattice.starts[block + 1]))
        for kind in range(self._types):
            least = (found[:, here] + self._enter[kind, here]).min(axis=1)
            best[kind, :, block] = np.minimum(least, best[kind, :, block + 1])
        return block

    def _to_near(self, found: Floats, near: _Near, kept: Bits) -> None:
        for row in reversed(range(near.price.shape[1])):
            ideal = near.first + row
            for kind, (before, after) in enumerate(self._steps):
                value = (found[after, near.ends] + near.price[kind, row]).min(axis=1)
                value[~kept[before, ideal]] = np.inf
                found[before, ideal] = np.minimum(found[before, ideal], value)
