"""Weighted sums: read from a text, stated in the plan, refused where they say nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphs import chain, transformer
from partwise.errors import InfeasibleError, InputError
from partwise.hardware import equal_devices, find_device, find_link
from partwise.ir import contract
from partwise.planning import (
    Blend,
    Limits,
    Objective,
    Share,
    Terms,
    parse_objectives,
    plan,
    plan_from_data,
    plan_to_data,
)
from partwise.planning import violations as violations_of
from partwise.planning.evaluator import Evaluator
from partwise.planning.rates import RateTable
from partwise.profiling import profile

GRAPH = transformer(2, 32, 8, vocabulary=100)
CLUSTER = equal_devices(find_device("a100"), find_link("ethernet-10g"), 3)


def test_texts() -> None:
    assert parse_objectives("stages, traffic") == (Objective.STAGES, Objective.TRAFFIC)
    shares = (Share(objective=Objective.THROUGHPUT, weight=0.7), Share(objective=Objective.TRAFFIC, weight=0.3))
    assert parse_objectives("0.7*throughput + .3 * traffic") == Blend(shares=shares)
    assert parse_objectives("1*balance-memory").shares[0].objective is Objective.BALANCE_MEMORY  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    ["0.5*speed+1*traffic", "throughput+traffic", "0*traffic", "-1*traffic", "1e999*traffic", "1*traffic+2*traffic",
     "1*traffic,stages", "1.2.3*traffic", "fast", ""],
)  # fmt: skip
def test_wrong_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_objectives(text)


def test_a_weighted_plan_states_its_parts() -> None:
    limits = Limits(stages=3)
    made = plan(GRAPH, profile(GRAPH), limits, parse_objectives("0.7*throughput+0.3*traffic"), Terms(cluster=CLUSTER))
    time, traffic = made.levels
    assert (time.weight, traffic.weight) == (0.7, 0.3)
    for level in made.levels:
        alone = plan(GRAPH, profile(GRAPH), limits, [level.objective], Terms(cluster=CLUSTER))
        assert level.scale == pytest.approx(alone.value)
    assert made.value == pytest.approx(0.7 * time.value / time.scale + 0.3 * traffic.value / traffic.scale)  # type: ignore[operator]
    assert 1 <= made.bound <= made.value
    assert plan_from_data(plan_to_data(made, with_graph=True)) == made
    assert "throughput is divided by" in made.notes[0]


def test_an_objective_whose_best_is_nothing_is_divided_by_what_others_pay() -> None:
    wide = chain([512] * 5, rows=4096)
    fast = replace(CLUSTER, within=find_link("nvlink3"))
    made = plan(wide, profile(wide), Limits(), parse_objectives("0.9*throughput+0.1*traffic"), Terms(cluster=fast))
    assert made.levels[1].scale not in (None, 0)
    assert "its own best is 0" in made.notes[1]


def test_lying_weights_are_found_out() -> None:
    made = plan(
        GRAPH, profile(GRAPH), Limits(stages=2), parse_objectives("1*traffic+1*latency"), Terms(cluster=CLUSTER)
    )
    rates = RateTable(profile(GRAPH), CLUSTER)
    for change in ({"weight": 2.0}, {"scale": 0.0}, {"weight": None}):
        spoiled = replace(made, levels=(made.levels[0], replace(made.levels[1], **change)))
        assert list(violations_of(spoiled, Evaluator(contract(GRAPH), rates)))


def test_a_free_number_of_stages_is_the_fewest() -> None:
    graph = chain([64] * 9, rows=1)
    blend = parse_objectives("1*balance+1*traffic")
    made = plan(graph, profile(graph), Limits(memory_bytes=3 * 64 * 64 * 4 + 2000), blend)
    assert len(made.stages) == 3
    assert "fewest" in made.notes[-1]
    with pytest.raises(InfeasibleError):
        plan(graph, profile(graph), Limits(memory_bytes=1000), blend)


def test_least_memory_then_traffic() -> None:
    limits = Limits(stages=3)
    alone = plan(GRAPH, profile(GRAPH), limits, [Objective.BALANCE_MEMORY])
    both = plan(GRAPH, profile(GRAPH), limits, [Objective.BALANCE_MEMORY, Objective.TRAFFIC])
    assert alone.gap == 0
    assert both.value == alone.value == max(stage.peak_bytes for stage in both.stages)
    assert both.levels[1].value <= sum(cut.bytes for cut in alone.cuts)
    last = plan(GRAPH, profile(GRAPH), limits, [Objective.TRAFFIC, Objective.BALANCE_MEMORY])
    assert last.value == plan(GRAPH, profile(GRAPH), limits, [Objective.TRAFFIC]).value
    assert last.levels[1].value >= alone.value
