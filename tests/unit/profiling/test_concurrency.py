"""Levels, critical path, parallelism and saturation on graphs counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphs import Builder, chain, diamond
from partwise.errors import InputError
from partwise.ir import Graph, Symbol
from partwise.profiling import Rules, concurrency, fuse, profile, saturating_batch


def names(graph: Graph, places: tuple[int, ...], groups: tuple[tuple[int, ...], ...]) -> list[str]:
    return [graph.nodes[groups[place][0]].op.split(".")[1] for place in places]


def test_a_chain_has_a_level_a_node() -> None:
    graph = chain([8, 8, 8])
    found = concurrency(graph, profile(graph))
    assert [len(stage) for stage in found.stages] == [1, 1, 1, 1]
    assert names(graph, found.critical_path, found.groups) == ["linear", "relu", "linear", "relu"]
    assert (found.widest, found.most_parallel) == (0, 1)


def test_branches_share_a_level() -> None:
    graph = diamond()
    found = concurrency(graph, profile(graph))
    assert [len(stage) for stage in found.stages] == [1, 2, 2, 1]
    assert (found.widest, found.most_parallel) == (1, 2)
    assert names(graph, found.critical_path, found.groups) == ["linear", "linear", "relu", "add"]


def test_views_take_no_level() -> None:
    make = Builder()
    x = make.view(make.relu(make.input((4, 8))), (8, 4))
    graph = make.graph(make.relu(x))
    assert len(concurrency(graph, profile(graph)).stages) == 2


def test_units_of_a_fusion_are_seen_as_one() -> None:
    graph = chain([8, 8, 8])
    counted = profile(graph)
    found = concurrency(graph, counted, fuse(graph, counted, rules=Rules.PATTERNS).units)
    assert (len(found.stages), found.groups) == (2, ((0, 1), (2, 3)))


def test_hardware_units_are_threads_in_whole_units() -> None:
    graph = chain([8, 8], rows=5)
    found = concurrency(graph, profile(graph))
    assert found.threads == (40, 40)
    assert found.units(16) == (3, 3)


def dynamic() -> Graph:
    """[batch, 8] × [10, 8]: 10 results an element of the batch."""
    graph = chain([8, 10], rows=3)
    tensors = tuple(
        replace(spec, shape=("batch", *(spec.shape or ())[1:])) if not spec.name.startswith("weight") else spec
        for spec in graph.tensors
    )
    return replace(graph, tensors=tensors, symbols=(Symbol(name="batch", hint=3, input="input_0", dim=0),))


@pytest.mark.parametrize(("threads", "share", "batch"), [(1, 1.0, 1), (10, 1.0, 1), (95, 1.0, 10), (100, 0.5, 5)])
def test_the_batch_that_fills_a_device(threads: int, share: float, batch: int) -> None:
    assert saturating_batch(dynamic(), threads, share=share) == batch


def test_a_device_that_nothing_fills() -> None:
    assert saturating_batch(dynamic(), 1 << 60) is None


@pytest.mark.parametrize(("threads", "share", "symbol"), [(0, 1.0, "batch"), (1, 0.0, "batch"), (1, 1.0, "rows")])
def test_numbers_that_make_no_sense(threads: int, share: float, symbol: str) -> None:
    with pytest.raises(InputError):
        saturating_batch(dynamic(), threads, share=share, symbol=symbol)
