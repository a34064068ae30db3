"""Parts: every node somewhere, every value from somewhere, nothing sent that nobody wants."""

from __future__ import annotations

import random

import pytest

from graphs import Builder, chain, random_graph
from partwise.ir import DType, Graph, contract, divide


def test_a_chain_in_two_sends_one_value() -> None:
    graph = chain([4, 5, 6])
    first, second = divide(contract(graph), [[0, 1], [2, 3]])
    assert (first.inputs, first.outputs) == (("input_0",), (graph.nodes[1].name,))
    assert (second.inputs, second.outputs) == ((graph.nodes[1].name,), (graph.nodes[3].name,))
    assert (first.weights, second.weights) == (("weight_0",), ("weight_1",))


def test_a_value_for_several_parts_is_sent_once_and_received_by_each() -> None:
    make = Builder()
    x = make.relu(make.linear(make.input((2, 4)), 4))
    left, right = make.linear(x, 4), make.linear(x, 4)
    parts = divide(contract(make.graph(make.add(left, right))), [[0, 1], [2], [3], [4]])
    assert parts[0].sent == (x,)
    assert [part.inputs for part in parts[1:3]] == [(x,), (x,)]


def test_a_repeated_node_stands_in_every_part_that_needs_it() -> None:
    make = Builder()
    mask = make.node("aten._to_copy.default", [make.input((2, 4), DType.INT64)], (2, 4))
    x = make.add(make.linear(make.input((2, 4)), 4), mask)
    parts = divide(contract(make.graph(make.add(make.linear(x, 4), mask))), [[1, 2], [3, 4]])
    assert [0 in part.nodes for part in parts] == [True, True]
    assert [0 in part.placed for part in parts] == [False, False]


def test_a_tied_weight_is_held_where_it_is_read() -> None:
    make = Builder()
    x = make.linear(make.input((2, 4)), 4)
    graph = make.graph(make.linear(x, 4, "weight_0"))
    assert [part.weights for part in divide(contract(graph), [[0], [1]])] == [("weight_0",), ("weight_0",)]


def test_an_input_that_is_returned_comes_from_the_last_part() -> None:
    make = Builder()
    x = make.input((2, 4))
    graph = make.graph(make.relu(make.linear(x, 4)), x)
    first, second = divide(contract(graph), [[0], [1]])
    assert second.returned == (graph.nodes[1].name, x)
    assert x in second.inputs
    assert first.returned == ()


@pytest.mark.parametrize("seed", range(8))
def test_parts_of_a_random_graph_can_run_one_after_the_other(seed: int) -> None:
    graph = random_graph(seed, 80)
    contraction = contract(graph)
    ends = sorted(random.Random(seed).sample(range(1, len(contraction.placed)), 4))
    slices = [contraction.placed[a:b] for a, b in zip([0, *ends], [*ends, len(contraction.placed)], strict=True)]
    parts = divide(contraction, slices)
    assert sorted(i for part in parts for i in part.placed) == list(contraction.placed)
    _run_by_name(graph, parts)


def _run_by_name(graph: Graph, parts: object) -> None:
    """Each part finds what it reads among what it received, holds and made."""
    values = set(graph.inputs)
    for part in parts:  # type: ignore[attr-defined]
        assert set(part.inputs) <= values
        known = {*part.inputs, *part.weights}
        for index in part.nodes:
            assert set(graph.nodes[index].inputs) <= known
            known.update(graph.nodes[index].outputs)
        assert set(part.outputs) <= known
        values.update(part.outputs)
    assert {output.tensor for output in graph.outputs} <= values
