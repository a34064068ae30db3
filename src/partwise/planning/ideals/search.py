"""The exact search: the smallest bottleneck of any chain of ideals whose stages all stay below a limit.

States are (ideal, vector of devices used). The quick test leaves those that both ends can reach; each that is
reached prices the stages that begin there, once for every type of device.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partwise.planning.ideals.instance import Channel, Instance
from partwise.planning.ideals.lattice import Lattice
from partwise.planning.ideals.loads import Loads
from partwise.planning.ideals.reach import Vectors
from partwise.planning.problem import Floats, Ints

__all__ = ["Chain", "Search"]

Bits = NDArray[np.bool_]
Step = tuple[int, int, int]
"""A stage: the ideals at its ends and the type of its device."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Stages one after the other."""

    value: float
    """The largest load [s]."""
    steps: tuple[Step, ...]


class Search:
    """The search in one lattice."""

    def __init__(self, instance: Instance, lattice: Lattice) -> None:
        self.instance, self.lattice = instance, lattice
        caps = [channel for cap in instance.caps for channel in cap.load]
        self.loads = Loads(lattice, (*instance.load, *caps, instance.held, *_activations(instance)))
        self._types = len(instance.counts)
        least = self.loads.work[: self._types].min(axis=0)
        self._rest: Floats = (least[-1] - least) * instance.adds  # what is left to pay at least
        self._peaks = _block_peaks(instance, lattice)

    def best(self, vectors: Vectors, kept: Bits, limit: float, forbidden: Collection[Step] = ()) -> Chain | None:
        """The best chain with every stage below a limit; None: there is none.

        Args:
            vectors: of devices used.
            kept: [vectors, ideals] the states worth a look.
            limit: loads reach it nowhere [s].
            forbidden: stages that turned out to be impossible.
        """
        ideals = np.flatnonzero(kept.any(axis=0))
        if not len(ideals) or ideals[0] != 0 or ideals[-1] != len(self.lattice) - 1:
            return None
        table = _Table(vectors, ideals, kept[:, ideals])
        closed = _by_start(forbidden)
        for column, ideal in enumerate(ideals[:-1].tolist()):
            reached = table.reached(column)
            if reached:
                self._extend(table, column, ideal, reached, limit, closed.get(ideal, ()))
        return table.chain()

    def _extend(
        self, table: _Table, column: int, ideal: int, reached: list[int], limit: float, closed: Collection[Step]
    ) -> None:
        """Reach further from one ideal, with each type of device that a vector has left."""
        targets: dict[int, list[tuple[int, int]]] = {}
        for number in reached:
            for kind, after in table.vectors.above(number):
                targets.setdefault(kind, []).append((number, after))
        if not targets:
            return
        ends = self.loads.after(ideal, self._furthest(ideal, limit, list(targets)))
        columns = table.columns(ends)
        useful = columns > column
        ends, columns = ends[useful], columns[useful]
        if not len(ends):
            return
        price = self.loads.row(ideal, ends)
        memory = self._memory(ideal, ends, price)
        for kind, pairs in targets.items():
            load = price[kind]
            fits = (load < limit) & (memory <= self.instance.room[kind])
            for number, cap in enumerate(self.instance.caps, 1):
                fits &= price[number * self._types + kind] <= cap.limit
            for _, end, other in closed:
                if other == kind:
                    fits[ends == end] = False
            chosen = np.flatnonzero(fits)
            for number, after in pairs:
                self._offer(table, (column, number, kind), after, (ends[chosen], columns[chosen], load[chosen]), limit)

    def _offer(
        self,
        table: _Table,
        origin: tuple[int, int, int],
        number: int,
        stages: tuple[Ints, Ints, Floats],
        limit: float,
    ) -> None:
        """Reach the ends of some stages with a vector, from a state that is reached."""
        (column, before, _), (ends, columns, load) = origin, stages
        value = load + table.best[before, column] if self.instance.adds else np.maximum(load, table.best[before, column])
        table.offer(origin, number, columns, np.where(value + self._rest[ends] < limit, value, np.inf))

    def _furthest(self, ideal: int, limit: float, kinds: list[int]) -> int:
        """An index above all ideals whose stage from here has less work than the limit, on some device."""
        starts, most = self.lattice.starts, 0
        if self.instance.adds:
            return len(self.lattice)
        for kind in kinds:
            work = self.loads.work[kind]
            least = work[starts[1:-1] - 1]  # at the end of the block before: no ideal of the block has less
            block = int(np.searchsorted(least, work[ideal] + limit, "right"))
            most = max(most, int(starts[block + 1]))
        return most

    def _memory(self, ideal: int, ends: Ints, price: Floats) -> Floats:
        """[ends] Bytes that the stage needs at least, in whatever order its nodes run."""
        held, received, sent = price[-3:]
        block = int(self.lattice.block[ideal])
        inside = np.maximum.accumulate(np.concatenate(([0.0], self._peaks[block + 1 :])))
        through = inside[np.maximum(self.lattice.block[ends] - block - 1, 0)]
        return held + np.maximum(np.maximum(received, sent), through)


class _Table:
    """The states kept: the best bottleneck of each, and the stage that reached it."""

    def __init__(self, vectors: Vectors, ideals: Ints, kept: Bits) -> None:
        self.vectors, self.ideals, self.kept = vectors, ideals, kept
        self.best: Floats = np.full(kept.shape, np.inf)
        self.best[0, 0] = 0
        self.origin = np.zeros((*kept.shape, 3), np.int32)
        shape = [count + 1 for count in vectors.counts]
        self._grid = (*shape, -1)

    def columns(self, ideals: Ints) -> Ints:
        """The columns of some ideals; −1 for those not kept."""
        at = np.searchsorted(self.ideals, ideals)
        at[at == len(self.ideals)] = 0
        return np.where(self.ideals[at] == ideals, at, -1)

    def reached(self, column: int) -> list[int]:
        """The vectors with which an ideal is reached; where devices may stay empty, those that no smaller one equals."""
        best = self.best[:, column]
        if self.vectors.exactly is not None:
            return np.flatnonzero(np.isfinite(best)).tolist()
        grid = best.reshape(self._grid[:-1])
        lower = np.full(grid.shape, np.inf)
        for axis in range(grid.ndim):
            ahead = [slice(None)] * grid.ndim
            behind = list(ahead)
            ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
            np.minimum(lower[tuple(ahead)], grid[tuple(behind)], out=lower[tuple(ahead)])
        for axis in range(grid.ndim):
            np.minimum.accumulate(lower, axis=axis, out=lower)
        return np.flatnonzero((grid < lower).ravel()).tolist()

    def offer(self, origin: tuple[int, int, int], number: int, columns: Ints, value: Floats) -> None:
        """Reach some ideals with a vector at these values."""
        better = (value < self.best[number, columns]) & self.kept[number, columns]
        at = columns[better]
        self.best[number, at] = value[better]
        self.origin[number, at] = origin

    def chain(self) -> Chain | None:
        """The best chain to the last ideal: of equal ones that with the fewest devices."""
        last = self.best[:, -1]
        if self.vectors.exactly is not None:
            last = np.where(np.isin(np.arange(len(last)), self.vectors.final), last, np.inf)
        if not np.isfinite(last).any():
            return None
        used = np.array([sum(vector) for vector in self.vectors.all])
        number = int(np.lexsort((used, last))[0])
        column, steps, value = self.best.shape[1] - 1, list[Step](), float(last[number])
        while column:
            before, number, kind = self.origin[number, column].tolist()
            steps.append((int(self.ideals[before]), int(self.ideals[column]), kind))
            column = before
        return Chain(value, tuple(reversed(steps)))


def _activations(instance: Instance) -> tuple[Channel, Channel]:
    """Bytes received and bytes sent."""
    units, items = np.zeros(instance.units), np.zeros(len(instance.held.again))
    none = np.zeros(len(instance.value_bytes))
    return (
        Channel(work=units, receive=instance.value_bytes, send=none, again=items),
        Channel(work=units, receive=none, send=instance.value_bytes, again=items),
    )


def _block_peaks(instance: Instance, lattice: Lattice) -> Floats:
    """[blocks + 1] The most that a unit of the block needs alive at once."""
    if not len(instance.working):
        return np.zeros(len(lattice.blocks) + 1)
    return np.array([0.0, *(instance.working[block.units].max() for block in lattice.blocks)])


def _by_start(steps: Collection[Step]) -> dict[int, list[Step]]:
    found: dict[int, list[Step]] = {}
    for step in steps:
        found.setdefault(step[0], []).append(step)
    return found
