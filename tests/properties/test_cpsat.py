"""Constraint programming against brute force: every assignment of units to devices, in a line or not, with limits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from math import inf
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from partwise.planning.arrays import Pairs
from partwise.planning.ideals import Cap, Channel, Instance, solve_ideals

pytest.importorskip("ortools", reason="the extra `solvers`")

from partwise.planning.cpsat import solve_cpsat
from partwise.planning.cpsat.model import kinds_of
from partwise.planning.cpsat.price import Crossings, loads, value_of
from partwise.planning.cpsat.simple import simple_bound

TOLERANCE = 1e-8


def random_instance(seed: int, *, limits: bool = True) -> Instance:
    """A few units in a random order, one to three devices of one or two types, and sometimes limits."""
    random = Random(seed)
    units, values = random.randint(1, 5), random.randint(0, 5)
    maker = [random.randrange(units) for _ in range(values)]
    reads = {(unit, value) for value in range(values) for unit in range(maker[value], units) if random.random() < 0.5}
    edges = sorted({(maker[value], unit) for unit, value in reads if unit != maker[value]})
    items = random.randint(0, 2)
    needs = [(unit, item) for item in range(items) for unit in range(units) if random.random() < 0.5]
    counts = random.choice([(1,), (2,), (3,), (1, 1), (2, 1), (1, 2)])

    def amounts(count: int, share: float = 1.0) -> np.ndarray:
        return np.array([random.choice((0, random.random(), random.randint(1, 9))) * share for _ in range(count)])

    def channel() -> Channel:
        work = amounts(units)
        work[[unit for unit in range(units) if limits and random.random() < 0.05]] = 1e18
        fixed = random.choice((0.0, 1.5))
        return Channel(work=work, receive=amounts(values), send=amounts(values), again=amounts(items), fixed=fixed)

    nothing = np.zeros(values)
    held = Channel(
        work=np.array([float(random.randint(0, 9)) for _ in range(units)]),
        receive=nothing,
        send=nothing,
        again=np.array([float(random.randint(0, 9)) for _ in range(items)]),
    )
    caps = (Cap(load=tuple(channel() for _ in counts), limit=random.uniform(5, 30)),) if random.random() < 0.3 else ()
    return Instance(
        edges=np.array(edges, np.int64).reshape(-1, 2),
        maker=np.array(maker, np.int64),
        readers=pairs(reads),
        needs=pairs(set(needs)),
        counts=counts,
        load=tuple(channel() for _ in counts),
        adds=random.random() < 0.3,
        caps=caps if limits else (),
        room=tuple(random.choice((inf, float(random.randint(5, 30)))) if limits else inf for _ in counts),
        held=held,
        value_bytes=nothing,
        exactly=random.randint(1, sum(counts)) if limits and random.random() < 0.3 else None,
        working=np.zeros(units),
        is_simple=np.zeros(units, bool),
        nodes=np.arange(units).repeat(2).reshape(-1, 2),
    )


def pairs(found: set[tuple[int, int]]) -> Pairs:
    """Which units and which things, as arrays."""
    return Pairs(*np.array(sorted(found), np.int64).reshape(-1, 2).T)


def placements(instance: Instance, contiguous: bool) -> Iterator[tuple[int, ...]]:
    """The device of each unit, in every way that keeps the limits."""
    kinds, crossings = kinds_of(instance), Crossings.of(instance)
    limits = [(cap.load, [cap.limit] * len(kinds)) for cap in instance.caps]
    limits.append(((instance.held,) * len(instance.counts), [instance.room[kind] for kind in kinds]))
    for homes in product(range(len(kinds)), repeat=instance.units):
        if instance.exactly not in (None, len(set(homes))) or (contiguous and not in_line(instance, homes)):
            continue
        if any(instance.load[kinds[home]].work[unit] >= 1e18 for unit, home in enumerate(homes)):
            continue
        paid = [(loads(instance, crossings, [c[k] for k in kinds], homes), most) for c, most in limits]
        if all(x <= y for each, most in paid for x, y in zip(each, most, strict=True)):
            yield homes


def in_line(instance: Instance, homes: tuple[int, ...]) -> bool:
    """Whether the devices can be put in an order in which no edge goes back."""
    edges = [(homes[a], homes[b]) for a, b in instance.edges.tolist()]
    return any(all(line.index(a) <= line.index(b) for a, b in edges) for line in permutations(sorted(set(homes))))


def least(instance: Instance, contiguous: bool) -> float:
    """The smallest value of all placements; infinite where there is none."""
    kinds, crossings = kinds_of(instance), Crossings.of(instance)
    return min((value_of(instance, crossings, kinds, h) for h in placements(instance, contiguous)), default=inf)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 100_000), st.booleans())
@example(97_292, False)  # a value 3,260 times smaller than the first limit
def test_equal_to_brute_force(seed: int, contiguous: bool) -> None:
    instance = random_instance(seed)
    found, best = solve_cpsat(instance, contiguous=contiguous), least(instance, contiguous)
    assert found.value == pytest.approx(best, rel=TOLERANCE)
    assert found.bound <= best * (1 + 1e-12)
    assert found.proved


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000))
def test_a_hint_is_never_made_worse_and_a_line_equals_the_ideals(seed: int) -> None:
    instance = random_instance(seed, limits=False)
    known = solve_ideals(instance, most=10_000)
    assert known is not None
    in_line = solve_cpsat(instance, contiguous=True, hint=known)
    anywhere = solve_cpsat(instance, contiguous=False, hint=known)
    assert in_line.value == pytest.approx(known.value, rel=TOLERANCE)
    assert anywhere.value <= in_line.value * (1 + TOLERANCE)
    assert solve_cpsat(instance, contiguous=False, hint=known) == anywhere


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 100_000), st.floats(1, 3))
def test_the_simple_bound_is_below_every_placement(seed: int, slack: float) -> None:
    instance = random_instance(seed)
    best = least(instance, contiguous=False)
    assert simple_bound(instance) <= best * (1 + 1e-12)
    assert simple_bound(instance, best * slack) <= best * (1 + 1e-12)
