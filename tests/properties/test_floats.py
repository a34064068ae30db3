"""The bound where units float: never above the optimum, whichever units float."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partwise.planning.arrays import Pairs
from partwise.planning.ideals import Channel, Instance, solve_ideals
from partwise.planning.ideals.floats import core_of, core_without
from partwise.planning.ideals.lattice import lattice
from partwise.planning.ideals.slack import slack_bound

MOST = 100_000  # ideals: all of them


def instance(seed: int, units: int, devices: int, price: float) -> Instance:
    """A random graph in the manner of a model: every unit makes a value, which later units read."""
    random = np.random.default_rng(seed)
    reads = [(j, i) for i in range(units) for j in range(i + 1, units) if random.random() < 2 / (j - i + 1)]
    readers = np.array(reads, np.int64).reshape(-1, 2)
    needs = np.array([(unit, unit % 2) for unit in range(units) if random.random() < 0.3], np.int64).reshape(-1, 2)
    load = Channel(
        work=random.integers(0, 9, units).astype(float),
        receive=price * random.integers(0, 5, units),
        send=price * random.integers(0, 5, units),
        again=price * random.integers(0, 3, 2),
        fixed=float(random.integers(0, 2)),
    )
    nothing = np.zeros(units)
    return Instance(
        edges=readers[:, ::-1].copy(),
        maker=np.arange(units),
        readers=Pairs(readers[:, 0], readers[:, 1]),
        needs=Pairs(needs[:, 0], needs[:, 1]),
        counts=(devices,),
        load=(load,),
        room=(np.inf,),
        held=Channel(work=nothing, receive=nothing, send=nothing, again=np.zeros(2)),
        value_bytes=nothing,
        working=nothing,
        is_simple=np.zeros(units, bool),
        nodes=np.arange(units).repeat(2).reshape(-1, 2),
    )


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 9), st.integers(1, 4), st.floats(0, 2), st.sets(st.integers(0, 8)))
def test_no_plan_is_below_the_bound(seed: int, units: int, devices: int, price: float, chosen: set[int]) -> None:
    problem = instance(seed, units, devices, price)
    best = solve_ideals(problem, most=MOST)
    floats = np.isin(np.arange(units), list(chosen))
    if floats.all():
        floats[0] = False
    core = core_without(problem, floats, MOST)
    assert best is not None
    assert core is not None
    bound = slack_bound(core, devices, 0.0, 2 * best.value + 1)
    assert bound <= best.value * (1 + 1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0, 2))
def test_without_floats_the_bound_is_the_optimum(seed: int, devices: int, price: float) -> None:
    problem = instance(seed, 6, devices, price)
    best, core = solve_ideals(problem, most=MOST), core_without(problem, np.zeros(6, bool), MOST)
    assert best is not None
    assert core is not None
    assert slack_bound(core, devices, 0.0, 2 * best.value + 1) == pytest.approx(best.value, rel=2e-3, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_the_floats_chosen_leave_few_ideals(seed: int, devices: int) -> None:
    problem = instance(seed, 10, devices, 1.0)
    best, most = solve_ideals(problem, most=MOST), 6
    whole = lattice(problem, most)
    if not whole.complete and (core := core_of(problem, whole, most)) is not None:
        assert core.lattice.complete
        assert best is not None
        assert slack_bound(core, devices, 0.0, 2 * best.value + 1) <= best.value * (1 + 1e-9)
