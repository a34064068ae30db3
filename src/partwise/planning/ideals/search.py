"""The exact search: the smallest bottleneck of any chain of ideals whose stages all stay below a limit.

States are (ideal, vector of devices used). The quick test leaves those that both ends can reach; each that is
reached prices the stages that begin there, once for every type of device.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints
from partwise.planning.ideals.instance import Instance
from partwise.planning.ideals.lattice import Lattice
from partwise.planning.ideals.loads import Loads
from partwise.planning.ideals.memory import Peaks, memory_channels
from partwise.planning.ideals.states import Chain, States, Step, extent
from partwise.planning.ideals.vectors import Vectors

__all__ = ["Question", "Search"]

_CELLS = 2_000_000  # stages priced at once; some 100 MB with all channels
_OFFERED = 50_000  # stages offered at once; some 3 MB, which caches hold
_REMEMBERED = 20_000_000  # stages whose prices are kept


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched, perhaps several times with more and more stages forbidden.

    Attributes:
        vectors: of devices used.
        kept: [vectors, ideals] the states worth a look.
        limit: loads reach it nowhere.
        is_free: whether no stage costs anything: then only what is possible counts.
        known: prices and fits of the stages between some ideals, where they will be asked for again.
    """

    vectors: Vectors
    kept: Bits
    limit: float
    is_free: bool = False
    known: dict[tuple[bytes, bytes], tuple[Floats, Bits]] = field(
        default_factory=dict[tuple[bytes, bytes], tuple[Floats, Bits]]
    )


class Search:
    """The search in one lattice."""

    def __init__(self, instance: Instance, lattice: Lattice) -> None:
        self.instance, self.lattice = instance, lattice
        caps = [channel for cap in instance.caps for channel in cap.load]
        memory = memory_channels(instance) if min(instance.room) < np.inf else ()
        self.loads = Loads(lattice, (*instance.load, *caps, *memory))
        self._types = len(instance.counts)
        homes = enumerate(instance.homes)
        self._inside = {kind: lattice.holding(home) for kind, home in homes if home is not None}
        least = lattice.work(replace(instance.held, work=np.min([channel.work for channel in instance.load], axis=0)))
        self._rest: Floats = (least[-1] - least) * instance.adds  # what is left to pay at least
        self._before = self.loads.work[:, lattice.starts[1:-1] - 1]  # a block: no ideal of it has less
        self._peaks = Peaks.of(instance, lattice) if memory else None

    @property
    def least(self) -> float:
        """What the units of a sum pay at least."""
        return float(self._rest[0])

    def best(self, question: Question, forbidden: Collection[Step] = ()) -> Chain | None:
        """The best chain with every stage below a limit; None: there is none.

        Args:
            question: what is searched.
            forbidden: stages that turned out to be impossible.
        """
        kept = question.kept
        ideals = np.flatnonzero(kept.any(axis=0))
        if not len(ideals) or ideals[0] != 0 or ideals[-1] != len(self.lattice) - 1:
            return None
        table = States(question.vectors, ideals, kept[:, ideals])
        for block in np.unique(self.lattice.block[ideals]).tolist():
            first, after, most = table.columns(*self._range(block, question.limit))
            at_once = max(1, _CELLS // max(1, most - first))
            while len(starts := first + np.flatnonzero(table.changed[first:after])[:at_once]):
                self._leave(table, block, (starts, first, most), question, forbidden)
        return table.chain()

    def fits(self, block: int, price: Floats, stages: tuple[Ints, Ints]) -> Bits:
        """[types, starts, ends] Which stages of priced ones there are and keep all limits but that of the load."""
        return self._fits(block, price, stages, np.inf)

    def descend(self, vectors: Vectors, on: Floats) -> Chain | None:
        """The chain that takes at each state the stage with the least price and rest; None where it ends too early.

        Args:
            vectors: of devices used.
            on: [vectors, ideals] what the rest costs at least from each state.
        """
        number, ideal, last, value, steps = 0, 0, len(self.lattice) - 1, 0.0, list[Step]()
        while ideal < last:
            ends = np.arange(ideal, last + 1)
            block, starts = int(self.lattice.block[ideal]), np.array([ideal])
            price = self.loads.prices(block, starts, ends)
            costs = np.where(self.fits(block, price, (starts, ends)), price[: self._types], np.inf)[:, 0]
            after = vectors.more[:, number]
            rest = np.where(after[:, None] >= 0, on[after][:, ends], np.inf)
            kind, place = np.unravel_index(int((costs + rest).argmin()), costs.shape)
            if not np.isfinite(costs[kind, place] + rest[kind, place]):
                return None
            steps.append((ideal, ideal + int(place), int(kind)))
            value += float(costs[kind, place])
            number, ideal = int(after[kind]), ideal + int(place)
        return Chain(value, tuple(steps))

    def _leave(
        self, table: States, block: int, columns: tuple[Ints, int, int], question: Question, forbidden: Collection[Step]
    ) -> None:
        """Reach further from some ideals of a block, with each type of device that a vector has left.

        Args:
            table: the states.
            block: of the ideals.
            columns: of the ideals, and where their targets begin and end.
            question: what is searched.
            forbidden: stages that are impossible.
        """
        at, first, most = columns
        low, high = table.beyond(at)
        if at[-1] < low:  # none of these ideals is reached from another one
            parts, first, most = [slice(None)], max(first, low), min(most, high)
        else:
            parts = [slice(row, row + 1) for row in range(len(at))]
        if first >= most:
            table.changed[at] = False
            return
        starts, ends = table.ideals[at], table.ideals[first:most]
        price, fits = self._priced(block, starts, ends, question)
        if question.is_free:
            price = np.zeros_like(price)
        if forbidden:
            fits = fits.copy()
        for start, end, kind in forbidden:
            fits[kind][np.ix_(starts == start, ends == end)] = False
        loads = np.where(fits, price, np.inf)
        for part in parts:
            table.changed[at[part]] = False
            self._offer(table, at[part], first, loads[:, part], question.limit)

    def _priced(self, block: int, starts: Ints, ends: Ints, question: Question) -> tuple[Floats, Bits]:
        """[types, starts, ends] What stages cost, and which are possible."""
        key = starts.tobytes(), ends.tobytes()
        if key not in question.known:
            price = self.loads.prices(block, starts, ends)
            found = price[: self._types], self._fits(block, price, (starts, ends), question.limit)
            size = sum(fits.size for _, fits in question.known.values())
            if self._peaks is None or size > _REMEMBERED:  # without limits nothing turns out to be impossible
                return found
            question.known[key] = found
        return question.known[key]

    def _offer(self, table: States, at: Ints, first: int, loads: Floats, limit: float) -> None:
        """Reach the ends of some stages from some ideals, on each type of device that a vector there has left.

        Args:
            table: the states.
            at: columns of the ideals where the stages begin.
            first: column of the first ideal where some end.
            loads: [types, starts, ends] of the stages, infinite for none.
            limit: of what a chain costs, the rest included.
        """
        _, starts, ends = loads.shape
        for moves in table.moves(at, *(first + place for place in extent(loads < np.inf))).parts(_OFFERED):
            columns = moves.columns()
            row = (moves.kinds * starts + moves.rows) * ends - first
            stage, before = loads.ravel()[columns + moves.each(row)], moves.each(moves.value)
            if self.instance.adds:
                value = stage + before
                value[value + self._rest[table.ideals[columns]] >= limit] = np.inf
            else:
                value = np.maximum(stage, before)
            table.offer(moves, columns, value)

    def _range(self, block: int, limit: float) -> tuple[int, int, int]:
        """The first ideal of a block, the first of the next, and one above all whose stage from here has less work
        than the limits, on some device."""
        starts = self.lattice.starts
        first, after = int(starts[block]), int(starts[block + 1])
        limits = [np.inf if self.instance.adds else limit, *(cap.limit for cap in self.instance.caps)]
        ends = [self._furthest(first, after, number, most) for number, most in enumerate(limits)]
        return first, after, max(after, min(ends))

    def _furthest(self, first: int, after: int, number: int, limit: float) -> int:
        """The same for one limit: of the load (0) or of a cap."""
        starts, most = self.lattice.starts, 0
        for channel in range(number * self._types, (number + 1) * self._types):
            reachable = float(self.loads.work[channel, first:after].max()) + limit
            most = max(most, int(starts[int(np.searchsorted(self._before[channel], reachable, "right")) + 1]))
        return most

    def _fits(self, block: int, price: Floats, stages: tuple[Ints, Ints], limit: float) -> Bits:
        """[types, starts, ends] Which stages there are, keep the limit, the caps and the memory of their device."""
        contained = self.loads.contains(block, *stages)
        fits = (price[: self._types] < limit) & contained
        for number, cap in enumerate(self.instance.caps, 1):
            fits &= price[number * self._types :][: self._types] <= cap.limit
        for kind, inside in self._inside.items():
            fits[kind] &= ~inside[stages[0], None] & inside[stages[1]]
        if min(self.instance.room) < np.inf:
            memory = self.memory(block, *stages, price)
            fits &= memory <= np.array(self.instance.room)[:, None, None]
        return fits

    def memory(self, block: int, starts: Ints, ends: Ints, price: Floats) -> Floats:
        """[starts, ends] Bytes that the stages need at least.

        Args:
            block: of the starts.
            starts: ideals of the block.
            ends: ideals of it and later ones.
            price: what `Loads.prices` says of these stages.
        """
        held, received, sent = price[-3:]
        assert self._peaks is not None  # there are limits, or nobody would ask
        alive = self._peaks.of_stages(self.lattice, block, starts, ends) - self.loads.borrowed(block, starts, ends)
        return held + np.maximum(np.maximum(received, sent), alive)
