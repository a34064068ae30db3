"""Weighted sums against brute force: nothing below the bound, and the least value found."""

from __future__ import annotations

from itertools import permutations
from math import fsum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partwise.errors import InfeasibleError
from partwise.ir import contract
from partwise.planning import Blend, Level, Limits, Objective, Share, Terms, plan
from partwise.planning.evaluator import Evaluator
from partwise.planning.goals import GOALS, Join
from partwise.planning.rates import RateTable
from partwise.profiling import profile
from properties.test_ideals import TOLERANCE, graphs, partitions, unequal

EFFORT = 40  # enough for graphs of six nodes to be settled


def least(graph, cluster, levels: tuple[Level, ...], limits: Limits) -> float:
    """The smallest weighted sum, scaled as the plan says."""
    evaluator = Evaluator(contract(graph), RateTable(profile(graph), cluster))
    names, found = [member.name for member in cluster.members], float("inf")
    for nodes in partitions(graph, limits.stages or len(names), cluster):
        if limits.stages not in (None, len(nodes)):
            continue
        for devices in permutations(names, len(nodes)):
            stages, cuts = evaluator.price(nodes, devices)
            if not evaluator.overfull(stages, limits):
                values = evaluator.measured(stages, cuts, [level.objective for level in levels])
                each = (lv.weight * value / lv.scale for lv, value in zip(levels, values, strict=True))  # type: ignore[operator]
                found = min(found, fsum(each))
    return found


@settings(max_examples=50, deadline=None)
@given(
    graphs,
    st.lists(st.sampled_from(Objective), min_size=2, max_size=3, unique=True),
    st.lists(st.sampled_from([0.1, 0.3, 1.0, 2.5]), min_size=3, max_size=3),
    st.floats(0.3, 1.1),
    st.none() | st.integers(1, 3),
)
def test_weighted(graph, wanted: list[Objective], weights: list[float], share: float, stages: int | None) -> None:
    cluster = unequal((share, share, share), profile(graph).peak_bytes)
    shares = tuple(Share(objective=o, weight=w) for o, w in zip(wanted, weights, strict=False))
    limits = Limits(stages=stages)
    try:
        made = plan(graph, profile(graph), limits, Blend(shares=shares), Terms(cluster=cluster, effort=EFFORT))
    except InfeasibleError:
        return  # whether that is so is the business of `test_ideals`
    best = least(graph, cluster, made.levels, limits)
    assert best * (1 - TOLERANCE) <= made.value
    assert made.bound <= best * (1 + TOLERANCE)
    largest = sum(GOALS[objective].join is Join.LARGEST for objective in wanted)
    if largest < 2:
        assert made.value == pytest.approx(best, rel=TOLERANCE)
