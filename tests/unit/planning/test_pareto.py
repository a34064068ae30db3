"""Fronts: nothing dominated, every point a plan that its question gives again, questions refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from graphs import chain, transformer
from partwise.errors import InfeasibleError, InputError
from partwise.hardware import equal_devices, find_device, find_link
from partwise.planning import Limits, Objective, Terms, pareto, plan
from partwise.profiling import profile

GRAPH = transformer(1, 32, 8, vocabulary=100)
AXES = (Objective.BALANCE_MEMORY, Objective.THROUGHPUT, Objective.TRAFFIC)
CLUSTER = equal_devices(find_device("a100"), find_link("pcie4-x16"), 3)


def test_no_point_is_covered_by_another() -> None:
    front = pareto(GRAPH, profile(GRAPH), Limits(), AXES, stages=range(1, 4))
    assert front.axes == AXES
    assert len(front.points) > 3
    for one, other in permutations(front.points, 2):
        assert any(a > b for a, b in zip(one.values, other.values, strict=True))


def test_the_ends_of_the_front_are_the_best_plans() -> None:
    front = pareto(GRAPH, profile(GRAPH), Limits(), AXES, stages=range(1, 4))
    for number, axis in enumerate(AXES):
        best = min(plan(GRAPH, profile(GRAPH), Limits(stages=count), [axis]).value for count in range(1, 4))
        assert min(point.values[number] for point in front.points) == pytest.approx(best)


def test_every_point_is_found_again_by_its_question() -> None:
    front = pareto(GRAPH, profile(GRAPH), Limits(), AXES, Terms(cluster=CLUSTER))
    for point in front.points:
        limits = Limits(stages=point.stages, memory_bytes=point.memory_bytes)
        made = plan(GRAPH, profile(GRAPH), limits, point.objectives, Terms(cluster=CLUSTER))
        values = {level.objective: level.value for level in made.levels}
        for axis, value in zip(front.axes, point.values, strict=True):
            assert values.get(axis, value) == value
        assert tuple(stage.device for stage in made.stages) == point.devices
        assert point.proved == (made.gap == 0)


def test_limits_hold_for_every_point() -> None:
    free = pareto(GRAPH, profile(GRAPH), Limits(), AXES, stages=(2,))
    most = int(max(point.values[0] for point in free.points)) - 1
    front = pareto(GRAPH, profile(GRAPH), Limits(memory_bytes=most), AXES, stages=(2,))
    assert all(point.values[0] <= most for point in front.points)


def test_questions_without_an_answer() -> None:
    graph = chain([8] * 4)
    with pytest.raises(InputError, match="two axes"):
        pareto(graph, profile(graph), Limits(), AXES[:1], stages=(2,))
    with pytest.raises(InputError, match="how many stages"):
        pareto(graph, profile(graph), Limits(), AXES)
    with pytest.raises(InfeasibleError, match="at most 6 stages"):
        pareto(graph, profile(graph), Limits(), AXES, stages=(7, 8))
    with pytest.raises(InfeasibleError):
        pareto(graph, profile(graph), Limits(memory_bytes=10), AXES, stages=(2,))


@pytest.mark.parametrize(
    ("limits", "terms", "stages"),
    [
        (Limits(max_parameters=0), Terms(), (2,)),
        (Limits(), Terms(), (0,)),
        (Limits(), Terms(effort=0), (2,)),
        (Limits(), Terms(solver="magic"), (2,)),
    ],
)
def test_limits_and_terms_that_no_plan_takes_are_refused(limits: Limits, terms: Terms, stages: tuple[int]) -> None:
    with pytest.raises(InputError, match=r"at least 1|no such solver"):
        pareto(GRAPH, profile(GRAPH), limits, AXES, terms, stages=stages)


def test_counts_beyond_the_devices_are_left_out() -> None:
    two = replace(CLUSTER, members=CLUSTER.members[:2])
    front = pareto(GRAPH, profile(GRAPH), Limits(), AXES, Terms(cluster=two), stages=range(1, 9))
    assert {point.stages for point in front.points} <= {1, 2}
