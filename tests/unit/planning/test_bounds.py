"""Bounds on graphs small enough to see them."""

from __future__ import annotations

import numpy as np
import pytest

from graphs import chain
from partwise.planning import Limits, Objective, plan
from partwise.planning.bounds import fewest_bins
from partwise.planning.check import gap_of
from partwise.profiling import profile


@pytest.mark.parametrize(
    ("items", "room", "fewest"),
    [([1], 9, 1), ([0, 0], 9, 1), ([5, 5, 5], 9, 3), ([4, 4, 4, 4], 8, 2), ([3, 3, 3, 6, 6], 9, 3), ([10], 9, 1)],
)
def test_bins(items: list[int], room: int, fewest: int) -> None:
    assert fewest_bins(np.array(items), room) == fewest


@pytest.mark.parametrize(("value", "bound", "gap"), [(0, 0, 0), (3, 0, None), (3, 2, 0.5), (2, 2, 0)])
def test_a_gap_without_a_ratio_is_none(value: float, bound: float, gap: float | None) -> None:
    assert gap_of(value, bound) == gap


PRICED = [o for o in Objective if o is not Objective.COST]  # the reference device has no price


@pytest.mark.parametrize("objective", PRICED)
def test_every_objective_has_a_bound_that_names_its_plans(objective: Objective) -> None:
    graph = chain([32] * 9, rows=32)
    made = plan(graph, profile(graph), Limits(stages=4), [objective])
    assert 0 < made.bound <= made.value
    assert made.bound_plans == "acyclic partitions into 4 stages"
    assert made.bound_origin


def test_a_chain_cut_everywhere_alike_has_least_traffic() -> None:
    graph = chain([32] * 9)
    made = plan(graph, profile(graph), Limits(stages=4), [Objective.TRAFFIC])
    assert (made.value, made.gap) == (3 * 2 * 32 * 4, 0)


def test_one_stage_sends_nothing() -> None:
    graph = chain([32] * 3)
    made = plan(graph, profile(graph), Limits(), [Objective.TRAFFIC])
    assert (len(made.stages), made.value, made.bound, made.gap) == (1, 0, 0, 0)
