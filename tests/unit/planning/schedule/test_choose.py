"""A plan's times are what its objectives say; batch and microbatches are chosen under the memory limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphs import chain, random_graph, transformer
from partwise.errors import InfeasibleError, InputError
from partwise.hardware import equal_devices, find_device, find_link
from partwise.ir import Graph, Symbol
from partwise.planning import Limits, Objective, Plan, Terms, plan
from partwise.planning.schedule import (
    ScheduleKind,
    best_batch,
    best_microbatches,
    even_times,
    latency,
    make_schedule,
    period,
    plan_batch,
    simulate,
    times_of_plan,
)
from partwise.profiling import profile

CLUSTER = equal_devices(find_device("rtx3060"), find_link("ethernet-10g"))
BOTH = (Objective.THROUGHPUT, Objective.LATENCY)


def symbolic(graph: Graph) -> Graph:
    """A chain's graph with its rows as a symbol."""
    tensors = tuple(
        spec if spec.name in graph.held else replace(spec, shape=("batch", *(spec.shape or ())[1:]))
        for spec in graph.tensors
    )
    return replace(graph, tensors=tensors, symbols=(Symbol(name="batch", hint=4, input="input_0", dim=0),))


def planned(graph: Graph, stages: int, **limits: int) -> Plan:
    return plan(graph, profile(graph), Limits(stages=stages, **limits), BOTH, Terms(cluster=CLUSTER))


def test_the_times_of_a_chain_are_its_objectives() -> None:
    made = planned(chain([64, 64, 64, 64]), 3)
    times = times_of_plan(made)
    throughput, alone = (level.value for level in made.levels)
    assert period(ScheduleKind.GPIPE, times) == pytest.approx(throughput)
    assert latency(times) == pytest.approx(alone)


@pytest.mark.parametrize("seed", range(30))
def test_the_times_of_any_plan_are_its_objectives(seed: int) -> None:
    made = planned(random_graph(seed, 12), 3)
    times = times_of_plan(made)
    throughput, alone = (level.value for level in made.levels)
    assert period(ScheduleKind.GPIPE, times) == pytest.approx(throughput)
    assert latency(times) <= alone * (1 + 1e-9)  # stages that do not wait for each other run at once


def test_a_training_step_sends_gradients_back() -> None:
    times = times_of_plan(planned(transformer(2, 32, 8, vocabulary=100), 3), backward=2.0)
    for number, stage in enumerate(times):
        assert stage.backward is not None
        assert stage.backward.compute_s == 2 * stage.forward.compute_s
        for target, seconds in stage.backward.receive_s.items():
            assert times[target].forward.receive_s[number] == seconds
    line = simulate(make_schedule(ScheduleKind.ONE_F_ONE_B, 3, 4, backward=True), times)
    assert line.makespan_s > 4 * max(stage.load_s for stage in times)


def test_microbatches_are_priced_at_their_size() -> None:
    made = planned(symbolic(chain([512] * 8)), 3)
    found = best_microbatches(made, 64)
    assert sorted(choice.size * choice.prediction.microbatches for choice in found) == [64] * 7
    assert [choice.prediction.makespan_s for choice in found] == sorted(c.prediction.makespan_s for c in found)
    by_size = {choice.size: choice for choice in found}
    assert by_size[1].peak_bytes < by_size[64].peak_bytes
    assert by_size[64].prediction.makespan_s == pytest.approx(by_size[64].prediction.latency_s)


def test_microbatches_that_do_not_fit_come_last() -> None:
    graph = symbolic(chain([512] * 8))
    loose = planned(graph, 3)
    room = next(c.peak_bytes for c in best_microbatches(loose, 64) if c.size == 8)
    made = replace(loose, limits=replace(loose.limits, memory_bytes=room))
    found = best_microbatches(made, 64)
    assert [choice.size for choice in found if choice.fits] == [c.size for c in found if c.size <= 8]
    assert found[0].fits
    assert not found[-1].fits


def test_the_best_batch_is_the_largest_throughput_that_fits() -> None:
    graph = symbolic(chain([64] * 4))
    small, large = (
        max(stage.peak_bytes for stage in plan(graph, profile(graph, {"batch": b}), Limits(stages=2), BOTH).stages)
        for b in (16, 32)
    )
    found = best_batch(graph, Limits(stages=2, memory_bytes=(small + large) // 2), BOTH, Terms(cluster=CLUSTER))
    assert {choice.size for choice in found} >= {1, 2, 4, 8, 16}
    assert max(choice.size for choice in found) < 64
    assert found[0].requests_per_s == max(choice.requests_per_s for choice in found)
    assert found[0].plan.sizes["batch"] == found[0].size


def test_the_plan_of_the_best_batch_says_so() -> None:
    graph = symbolic(chain([64] * 4))
    best = best_batch(graph, Limits(stages=2), BOTH, Terms(cluster=CLUSTER))[0]
    made = plan_batch(graph, Limits(stages=2), BOTH, Terms(cluster=CLUSTER))
    assert made.sizes["batch"] == best.size
    assert f"batch {best.size}, of 1, 2, 4 … 4096" in made.notes[-1]


def test_what_cannot_be_chosen() -> None:
    fixed = chain([64, 64, 64])
    with pytest.raises(InputError, match="no such symbol"):
        best_microbatches(planned(fixed, 2), 8)
    with pytest.raises(InputError, match="no such symbol"):
        best_batch(fixed, Limits(stages=2))
    with pytest.raises(InfeasibleError):
        best_batch(symbolic(fixed), Limits(stages=2, memory_bytes=10))
    with pytest.raises(InputError, match="another number of stages"):
        simulate(make_schedule(ScheduleKind.GPIPE, 3, 3), even_times(2, backward=False))
    with pytest.raises(InputError, match="backward"):
        simulate(make_schedule(ScheduleKind.GPIPE, 2, 3, backward=True), even_times(2, backward=False))
