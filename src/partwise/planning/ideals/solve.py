"""The best chain of ideals and a lower bound: a quick bound first, then the exact search just above it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from partwise.planning.arrays import Bits
from partwise.planning.ideals.blocks import Orders, no_orders
from partwise.planning.ideals.floats import core_of
from partwise.planning.ideals.instance import Instance
from partwise.planning.ideals.lattice import Lattice, lattice
from partwise.planning.ideals.reach import Reach
from partwise.planning.ideals.search import Question, Search
from partwise.planning.ideals.slack import slack_bound
from partwise.planning.ideals.states import Chain, Step
from partwise.planning.ideals.sums import Sums
from partwise.planning.ideals.vectors import Vectors

__all__ = ["Answer", "Placed", "solve_ideals"]

_HALVINGS = 24
_GROWTH = (1.001, 1.02, 1.02, 1.05, 1.1, 1.5, *(4.0,) * 40)
"""Of the limit asked about, from question to question, until some plan may keep it."""
_TINY = 1e-9  # where nothing is to be shared out
_ROUGHLY, _MANY = 5e-3, 64  # the same for so many vectors of devices: each one takes a test of its own
_ENOUGH = 1e-4  # relative distance of the ends at which halving stops
_STEPS = (1.001, 1.02, 1.1, 1.5, 3.0, np.inf)  # limits tried, in multiples of the bound
_REFUSALS = 2  # limits that no plan keeps, until it is asked whether memory forbids them all, where none is known
_REPAIRS = 12  # chains below a limit of which some stage does not fit after all
_LARGE = 50_000  # ideals, above which the first limit is tried before anything else
_CORE = 4_000  # ideals of a block without the units that float
_SUM_SHARE = 8  # a sum has no limit that leaves few states: so many times fewer ideals are searched
_NEAR = 1.1  # a limit that lies nearer to the best known value is not tried: a search up to that value decides more
_SAME = 1e-9  # relative; loads are sums of floats in another order than the evaluator's


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One stage of an answer."""

    kind: int
    """Which type of device."""
    units: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The best placement found, and what none can beat."""

    stages: tuple[Placed, ...]
    value: float
    bound: float
    proved: bool
    """Whether no acyclic partition is better (by more than rounding)."""


Check = Callable[[Sequence[Placed]], Collection[int]]
"""Which stages of a placement do not fit after all."""


def solve_ideals(
    instance: Instance, *, most: int, others: Orders = no_orders, check: Check | None = None
) -> Answer | None:
    """The placement with the smallest bottleneck; None where no placement keeps the limits.

    Args:
        instance: what is placed.
        most: ideals that a block may have; where it has more, prefixes of the orders stand in, nothing is proved.
        others: makes the topological orders to take them from, beside the first.
        check: finds stages that need more memory than their lower estimate; None: the estimate is exact.
    """
    instance = replace(instance, room=_felt(instance))
    found = lattice(instance, most, others)
    hunt = _Hunt(instance, found, check)
    if instance.adds:
        return _least_sum(instance, hunt, check, most // _SUM_SHARE)
    return _least_bottleneck(instance, hunt, check)


def _felt(instance: Instance) -> tuple[float, ...]:
    """[types] The memory of a device; infinite where the estimate of no stage reaches it."""
    values, held = float(instance.value_bytes.sum()), instance.held
    whole = float(held.work.sum() + held.again.sum()) + values + float(instance.working.max(initial=0.0))
    return tuple(np.inf if whole <= room else room for room in instance.room)


class _Hunt:
    """The search in one lattice, until every stage of its answer fits."""

    def __init__(self, instance: Instance, found: Lattice, check: Check | None) -> None:
        self.lattice, self.vectors = found, Vectors(instance.counts, instance.exactly, instance.homes)
        self._search, self._check = Search(instance, found), check
        self._adds, self._counts = instance.adds, instance.counts
        self._reach = Reach(found, instance.load, instance.held, instance.room)
        caps = instance.caps
        self._caps = [(Reach(found, cap.load, instance.held, instance.room), cap.limit) for cap in caps]
        self._forbidden: set[Step] = set()
        self._limited = bool(caps) or min(instance.room) < np.inf

    @property
    def least(self) -> float:
        """What all units pay at least, each on the device where it pays least."""
        return self._search.least

    def may_end(self) -> bool:
        """Whether the quick test reaches the whole at all, under the limits of memory alone."""
        return not self._limited or bool(self._reach.forward(self.vectors, np.inf)[self.vectors.final, -1].any())

    def bound(self) -> float:
        """The largest limit found below which the quick test reaches no whole."""
        return _bound(self._reach, self.vectors, self._counts)

    def below(self, limit: float, kept: Bits | None = None) -> Chain | None:
        """The best chain below a limit, over certain states if these are given; None: there is none, or, where nothing
        is to be proved, none among those tried."""
        question = Question(self.vectors, self._kept(limit) if kept is None else kept, limit)
        tried = 0
        while (chain := self._search.best(question, self._forbidden)) is not None:
            broken = self._check(self.stages(chain)) if self._check else ()
            if not broken:
                return chain
            tried += 1
            if tried == _REPAIRS and not self.lattice.complete:
                return None
            self._forbidden.update(chain.steps[index] for index in broken)
        return None

    def is_impossible(self) -> bool:
        """Whether no chain keeps the limits of memory and the caps, whatever it costs: asked without prices, so that
        of each ideal only the fewest devices matter."""
        if not self._limited:
            return False
        question = Question(self.vectors, self._kept(np.inf), np.inf, is_free=True)
        return self._search.best(question, self._forbidden) is None

    def least_sum(self, known: float) -> tuple[float, Chain | None, bool]:
        """What no chain costs less than, the best one below a known value, and whether all were looked at.

        Args:
            known: the value of a chain; infinite where none is known.
        """
        sums = Sums.of(self._reach, self._search.loads, self._search.fits, self.vectors)
        if sums is None:
            return self.least, None, False
        kept = self._kept(np.inf)
        on = sums.on(kept)
        bound, best = float(on[0, 0]) * (1 - _SAME), None
        if not np.isfinite(bound) or bound >= known * (1 - _SAME):
            return min(bound, known), None, True
        chain = self._search.descend(self.vectors, on)
        if chain is not None and chain.value < known * (1 - _SAME) and self._is_sound(chain):
            best, known = chain, chain.value
        if bound < known * (1 - 2 * _SAME):
            kept &= sums.to(kept) + on < known * (1 - _SAME)
            best = self.below(known * (1 - _SAME), kept) or best
        return bound, best, True

    def _is_sound(self, chain: Chain) -> bool:
        """Whether every stage fits after all."""
        return not (self._check and self._check(self.stages(chain)))

    def _kept(self, limit: float) -> Bits:
        """[vectors, ideals] The states that both ends may reach."""
        kept = np.ones((len(self.vectors), len(self.lattice)), bool)
        for reach, most in [*self._caps, (self._reach, np.inf if self._adds else limit)]:
            kept &= reach.forward(self.vectors, most)
            kept &= reach.backward(self.vectors, most)
        return kept

    def stages(self, chain: Chain) -> tuple[Placed, ...]:
        """What lies between the ideals of a chain."""
        return tuple(
            Placed(kind=kind, units=tuple(self.lattice.between(start, end).tolist()))
            for start, end, kind in chain.steps
        )

    def answer(self, chain: Chain, bound: float) -> Answer:
        """The chain as an answer, proved if the lattice holds all ideals."""
        return Answer(stages=self.stages(chain), value=chain.value, bound=bound, proved=self.lattice.complete)


def _least_bottleneck(instance: Instance, hunt: _Hunt, check: Check | None) -> Answer | None:
    """The smallest bottleneck: a quick bound, the best along one order, then all ideals between the two."""
    if not hunt.may_end():
        return None
    bound = hunt.bound()
    if hunt.lattice.complete and len(hunt.lattice) > _LARGE:  # so fine a grain that little is lost to it
        near = hunt.below(bound * _STEPS[0])
        if near is not None:
            return hunt.answer(near, near.value)
    line = _Hunt(instance, lattice(instance, 0), check)
    first = _tried(line, [bound * factor for factor in _STEPS], len(_STEPS) - 1)
    most = np.inf if first is None else first.value * (1 - _SAME)
    limits = [bound * factor for factor in _STEPS if bound * factor * _NEAR < most]
    chain = _tried(hunt, [*limits, most], _REFUSALS if first is None else None)
    if chain is not None:
        found = hunt.answer(chain, chain.value)
    elif first is not None:
        found = replace(line.answer(first, first.value), proved=True)
    else:
        return None
    if hunt.lattice.complete:
        return found
    return replace(found, bound=_floating_bound(instance, hunt.lattice, found.value), proved=False)


def _floating_bound(instance: Instance, found: Lattice, value: float) -> float:
    """What no plan is below where a lattice lacks ideals: of the graph without the units that make them many; at least
    the average load. 0 where devices differ or other prices are limited: that is not worked out.

    Args:
        instance: what is placed.
        found: its incomplete lattice.
        value: of the best plan known.
    """
    if len(instance.counts) != 1 or instance.caps:
        return 0.0
    low = float(instance.load[0].work.sum()) / instance.counts[0]
    core = core_of(instance, found, _CORE)
    return low if core is None else slack_bound(core, instance.counts[0], low, value)


def _tried(hunt: _Hunt, limits: Sequence[float], refusals: int | None) -> Chain | None:
    """The best chain below the smallest limit that has one; after some refusals: whether any limit can have one."""
    for number, limit in enumerate(limits):
        if number == refusals and hunt.is_impossible():
            return None
        if (chain := hunt.below(limit)) is not None:
            return chain
    return None


def _least_sum(instance: Instance, hunt: _Hunt, check: Check | None, most: int) -> Answer | None:
    """The least sum: first along one order, then among all ideals below that, pruned by the least sums of states."""
    line = _Hunt(instance, lattice(instance, 0), check)
    first = line.below(np.inf)
    known = np.inf if first is None else first.value
    bound, chain, is_searched = hunt.least_sum(known)
    if not is_searched and (instance.caps or first is None or len(hunt.lattice) <= most):
        chain, is_searched = hunt.below(known * (1 - _SAME)), True
    is_proved = is_searched and hunt.lattice.complete
    bound = bound if hunt.lattice.complete else hunt.least
    if chain is not None:
        return replace(hunt.answer(chain, chain.value if is_proved else bound), proved=is_proved)
    if first is None:
        return None
    return replace(line.answer(first, first.value if is_proved else bound), proved=is_proved)


def _bound(reach: Reach, vectors: Vectors, counts: Sequence[int]) -> float:
    """The largest limit found below which the quick test reaches no whole [s]."""

    def is_reached(limit: float) -> bool:
        return bool(reach.forward(vectors, limit)[vectors.final, -1].any())

    shared = np.array(counts) / np.maximum(reach.work[: len(counts), -1], 1e-300)
    low, high = 0.0, max(1 / float(shared.sum()), _TINY)  # all work, shared out by speed
    is_slow = len(vectors) > _MANY
    for step in _GROWTH[is_slow:]:
        if is_reached(high):
            break
        low, high = high, high * step
    else:
        return low
    for step in _GROWTH if not low else ():  # where types differ in what they do well, the least may be below
        if not is_reached(high / step):
            low = high / step
            break
        high /= step
    for _ in range(_HALVINGS):
        if high - low <= (_ROUGHLY if is_slow else _ENOUGH) * high:
            break
        middle = (low + high) / 2
        low, high = (low, middle) if is_reached(middle) else (middle, high)
    return low
