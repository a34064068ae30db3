"""Impossible limits: the error says which smallest limit works, and it does."""

from __future__ import annotations

import pytest

from graphs import chain
from partwise.errors import InfeasibleError
from partwise.ir import Graph
from partwise.planning import Limits, plan
from partwise.profiling import profile


def _refuse(graph: Graph, limits: Limits) -> InfeasibleError:
    with pytest.raises(InfeasibleError) as caught:
        plan(graph, profile(graph), limits)
    return caught.value


def _smallest(error: InfeasibleError) -> int:
    return int(error.hint.split()[1].rstrip("."))


def test_more_stages_than_nodes() -> None:
    error = _refuse(chain((4, 4, 4)), Limits(stages=5))
    assert (error.expected, error.got) == ("at most 4", "5")


def test_a_node_that_fits_nowhere() -> None:
    graph = chain((8, 64, 8))
    error = _refuse(graph, Limits(memory_bytes=1000))
    assert str(error).startswith("node `linear_0`: alone it needs 2.56 KiB (weights 2.00 KiB, activations 576 B)")
    assert _smallest(error) == 2048 + 2 * (8 + 64) * 4
    assert plan(graph, profile(graph), Limits(memory_bytes=_smallest(error)))
    assert _smallest(_refuse(graph, Limits(memory_bytes=_smallest(error) - 1))) == _smallest(error)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_too_little_memory_for_so_few_stages(stages: int) -> None:
    graph = chain([32] * 7)
    error = _refuse(graph, Limits(stages=stages, memory_bytes=6 * 4096 // stages))
    smallest = _smallest(error)
    assert "--stages" in error.hint
    assert len(plan(graph, profile(graph), Limits(stages=stages, memory_bytes=smallest)).stages) == stages
    assert _smallest(_refuse(graph, Limits(stages=stages, memory_bytes=smallest - 1))) == smallest


def test_parameters_and_layers() -> None:
    graph = chain([8] * 5)
    assert _smallest(_refuse(graph, Limits(max_parameters=63))) == 64
    assert _smallest(_refuse(graph, Limits(stages=2, max_layers=1))) == 2


def test_two_limits_that_only_fail_together() -> None:
    graph = chain([8, 8, 8, 8, 64])  # by memory the last layer wants to be alone, by layers it may not
    for alone in (Limits(stages=2, max_layers=2), Limits(stages=2, memory_bytes=3200)):
        assert plan(graph, profile(graph), alone)
    error = _refuse(graph, Limits(stages=2, max_layers=2, memory_bytes=3200))
    assert _smallest(error) == 3328
    assert plan(graph, profile(graph), Limits(stages=2, max_layers=2, memory_bytes=3328))
