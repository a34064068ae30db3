"""Plans of small graphs: objectives, limits, defaults, arguments."""

from __future__ import annotations

from typing import Any

import pytest

from graphs import Builder, chain, diamond, transformer
from partwise.errors import InfeasibleError, InputError
from partwise.hardware import REFERENCE_DEVICE, Link, equal_devices
from partwise.ir import Graph, contract
from partwise.planning import Limits, Objective, Plan, Terms, check_plan, default_objectives, plan
from partwise.profiling import profile


def _plan(graph: Graph, limits: Limits, *objectives: Objective, **terms: Any) -> Plan:
    return plan(graph, profile(graph), limits, objectives, Terms(**terms))


@pytest.mark.parametrize("stages", [1, 2, 5, 20])
def test_as_many_stages_as_asked_for(stages: int) -> None:
    graph = transformer(2, 16, 4)
    made = _plan(graph, Limits(stages=stages))
    assert len(made.stages) == stages
    assert sorted(node for stage in made.stages for node in stage.nodes) == list(contract(graph).placed)
    assert [level.objective for level in made.levels] == list(default_objectives(Limits(stages=stages)))


def test_the_fewest_stages_that_memory_allows() -> None:
    graph = chain([64] * 9, rows=1)
    made = _plan(graph, Limits(memory_bytes=2 * 64 * 64 * 4 + 2000), Objective.STAGES)
    assert (len(made.stages), made.value, made.bound, made.gap) == (4, 4, 4, 0)
    assert max(stage.peak_bytes for stage in made.stages) <= 2 * 64 * 64 * 4 + 2000


def test_later_objectives_never_worsen_earlier_ones() -> None:
    graph = transformer(3, 16, 8)
    alone = _plan(graph, Limits(stages=4), Objective.BALANCE)
    both = _plan(graph, Limits(stages=4), Objective.BALANCE, Objective.TRAFFIC)
    assert both.value == pytest.approx(alone.value, rel=1e-9)
    assert both.levels[1].value <= sum(cut.bytes for cut in alone.cuts)


def test_traffic_counts_a_value_once_for_each_receiving_stage() -> None:
    make = Builder()
    x = make.linear(make.input((2, 8)), 8)
    y = make.linear(make.add(make.linear(x, 8), x), 8)
    made = _plan(make.graph(make.add(y, x)), Limits(stages=5), Objective.TRAFFIC)
    assert made.value == sum(cut.bytes for cut in made.cuts) == 6 * 64
    assert [(cut.source, cut.target) for cut in made.cuts] == [(0, 1), (0, 2), (1, 2), (2, 3), (0, 4), (3, 4)]


def test_tied_weights_count_once_in_a_stage() -> None:
    make = Builder()
    x = make.linear(make.input((2, 8)), 8)
    tied = make.weights[0].tensor
    graph = make.graph(make.linear(make.relu(x), 8, tied))
    assert _plan(graph, Limits(stages=1)).stages[0].weight_bytes == 256
    assert [stage.weight_bytes for stage in _plan(graph, Limits(stages=3)).stages] == [256, 0, 256]


def test_masks_are_repeated_rather_than_sent() -> None:
    graph = transformer(2, 16, 4)
    made = _plan(graph, Limits(stages=6), Objective.TRAFFIC)
    sent = {name for cut in made.cuts for name in cut.tensors}
    assert not sent & {"cos_2", "sin_3"}


def test_layers_and_parameters_are_limits() -> None:
    graph = chain([8] * 7)
    by_layer = _plan(graph, Limits(max_layers=2))
    assert [sum(graph.nodes[n].op == "aten.linear.default" for n in stage.nodes) for stage in by_layer.stages] == [
        2
    ] * 3
    by_parameters = _plan(graph, Limits(max_parameters=130))
    assert [stage.parameters for stage in by_parameters.stages] == [128] * 3


def test_throughput_weighs_the_link() -> None:
    graph, fast = chain([256, 256, 8, 256, 256], rows=64), Link(name="fast", bytes_per_s=1e15, latency_s=0)
    slow = Link(name="slow", bytes_per_s=1e6, latency_s=0)
    widths = []
    for link in (fast, slow):
        made = _plan(graph, Limits(stages=2), Objective.THROUGHPUT, cluster=equal_devices(REFERENCE_DEVICE, link))
        assert made.cluster.within == link
        widths.append(made.cuts[0].bytes)
    assert widths[1] == 64 * 8 * 4 <= widths[0]


def test_a_free_count_is_made_small_before_a_largest_time() -> None:
    graph = chain([64] * 9, rows=1)
    made = _plan(graph, Limits(memory_bytes=3 * 64 * 64 * 4 + 2000), Objective.BALANCE)
    assert len(made.stages) == 3
    assert made.levels[0].objective is Objective.BALANCE
    assert made.value == max(stage.time_s for stage in made.stages)
    assert made.notes == ("3 stages, the fewest found that keep the limits, since nothing says how many",)


def test_a_plan_passes_its_own_check() -> None:
    check_plan(_plan(diamond(), Limits(stages=3), Objective.BALANCE))


def test_a_graph_of_views_is_one_stage() -> None:
    make = Builder()
    graph = make.graph(make.view(make.input((2, 4)), (4, 2)))
    made = _plan(graph, Limits(memory_bytes=100))
    assert ([stage.nodes for stage in made.stages], made.value, made.gap) == ([()], 1, 0)
    with pytest.raises(InfeasibleError, match="nothing to divide"):
        _plan(graph, Limits(stages=2))


@pytest.mark.parametrize(
    "limits", [Limits(stages=0), Limits(memory_bytes=0), Limits(max_layers=-1), Limits(max_parameters=0)]
)
def test_limits_start_at_one(limits: Limits) -> None:
    with pytest.raises(InputError, match="at least 1"):
        _plan(chain((4, 4)), limits)


def test_more_stages_than_the_dp_can_afford_to_place_freely() -> None:
    graph = chain([4] * 1100, rows=1)
    made = _plan(graph, Limits(stages=2100), effort=1)
    assert len(made.stages) == 2100
    assert "cut positions" in made.notes[0]


def test_an_unknown_solver_is_named() -> None:
    with pytest.raises(InputError, match="magic"):
        _plan(chain((4, 4)), Limits(), solver="magic")
