"""A problem laid out in one topological order, in which a stage is an interval [i, j) of positions.

Everything that a stage pays becomes a question about the interval. What it pays once although several of its
positions need it is answered by the previous position that needs it too: an item counts at its first need in
the interval, that is, where the previous one lies before i.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Ints, Pairs
from partwise.planning.problem import Problem

__all__ = ["Line", "Needs"]


class Needs:
    """Items by the positions that need them.

    Attributes:
        position: ascending.
        item: needed there; each pair once.
        previous: the last position before this one that needs the same item, or -1.
    """

    def __init__(self, position: Ints, item: Ints, length: int) -> None:
        both = np.unique(np.stack([position, item], axis=1), axis=0)
        self.position, self.item = both[:, 0], both[:, 1]
        by_item = np.lexsort((self.position, self.item))
        again = self.item[by_item][1:] == self.item[by_item][:-1]
        self.previous = np.full(len(both), -1, np.int64)
        self.previous[by_item[1:]] = np.where(again, self.position[by_item][:-1], -1)
        self._starts = np.searchsorted(self.position, np.arange(length + 1))

    def within(self, i: int, j: int) -> Ints:
        """The items that positions [i, j) need, each once."""
        span = slice(self._starts[i], self._starts[j])
        return self.item[span][self.previous[span] < i]

    def flat(self, i: int, j: int) -> Ints:
        """The items that positions [i, j) need, one for each need."""
        return self.item[self._starts[i] : self._starts[j]]


@dataclass(frozen=True, slots=True)
class _Closing:
    """What ends add: needs at the position of their last maker."""

    reads: Pairs
    holds: Pairs
    runs: Pairs
    roots: Pairs


class Line:
    """A problem in one order.

    Attributes:
        order: unit at each position.
        position: position of each unit.
        maker: position that makes each tensor, or -1.
        last: last position that needs each tensor from its maker, or -1.
        reads, holds, runs: needs of values, of weights, of nodes to execute.
        made: tensors by the position that makes them, for those that anybody needs.
        kept: memory that the model's results keep, by the position that returns them.
    """

    def __init__(self, problem: Problem, order: Ints) -> None:
        self.problem, self.order = problem, order
        self.length = len(order)
        self.position = np.empty(self.length, np.int64)
        self.position[order] = np.arange(self.length)
        self.maker = np.where(problem.maker >= 0, self.position[problem.maker], -1)
        closing = self._closing()
        self.reads = self._needs(problem.reads, closing.reads)
        self.holds = self._needs(problem.holds, closing.holds)
        self.runs = self._needs(problem.runs, closing.runs)
        self.kept = Needs(closing.roots.unit, closing.roots.item, self.length)
        self.last = np.full(len(problem.tensor_bytes), -1, np.int64)
        np.maximum.at(self.last, self.reads.item, self.reads.position)
        needed = np.flatnonzero((self.maker >= 0) & (self.last > self.maker))
        self.made = Needs(self.maker[needed], needed, self.length)

    def nodes(self, i: int, j: int) -> list[int]:
        """Placed nodes of an interval, ascending."""
        chosen: list[int] = self.order[i:j].tolist()
        return sorted(node for unit in chosen for node in self.problem.units[unit])

    def received(self, i: int, j: int) -> Ints:
        """Values that a stage [i, j) receives, those of the caller included."""
        values = self.reads.within(i, j)
        return values[self.maker[values] < i]

    def sent(self, i: int, j: int) -> Ints:
        """Values that a stage [i, j) makes and later positions need."""
        values = self.made.flat(i, j)
        return values[self.last[values] >= j]

    def _needs(self, pairs: Pairs, extra: Pairs) -> Needs:
        position = np.concatenate((self.position[pairs.unit], extra.unit))
        return Needs(position, np.concatenate((pairs.item, extra.item)), self.length)

    def _closing(self) -> _Closing:
        found: tuple[list[tuple[int, int]], ...] = ([], [], [], [])
        for end in self.problem.ends:
            home = max((int(self.position[unit]) for unit in end.makers), default=self.length - 1)
            for pairs, items in zip(found, (end.received, end.weights, end.repeated, (end.root,)), strict=True):
                pairs.extend((home, item) for item in items)
        arrays = [np.array(pairs, np.int64).reshape(-1, 2) for pairs in found]
        return _Closing(*(Pairs(array[:, 0], array[:, 1]) for array in arrays))
