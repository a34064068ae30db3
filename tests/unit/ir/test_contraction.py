"""What is placed, what is repeated, and what a stage needs to have a value."""

from __future__ import annotations

from dataclasses import replace

from graphs import Builder, chain, random_graph
from partwise.ir import DType, Mutation, contract


def test_views_are_repeated_and_their_storage_is_what_crosses() -> None:
    make = Builder()
    x = make.linear(make.input((2, 8)), 8)
    graph = make.graph(make.relu(make.view(make.view(x, (4, 4)), (2, 8))))
    contraction = contract(graph)
    assert contraction.placed == (0, 3)
    closure = contraction.reads(3)
    assert closure.repeated == {1, 2}
    assert closure.received == {x}
    assert closure.weights == frozenset()


def test_cheap_values_of_integer_inputs_are_repeated_and_float_inputs_are_not_enough() -> None:
    make = Builder()
    ids = make.input((2, 8), DType.INT64)
    mask = make.node("aten._to_copy.default", [ids], (2, 8))
    graph = make.graph(make.add(make.relu(make.linear(make.input((2, 8)), 8)), mask))
    contraction = contract(graph)
    assert not contraction.is_placed(0)
    assert contraction.placed == (1, 2, 3)
    assert contraction.reads(3).received == {ids, graph.nodes[2].name}


def test_a_look_up_in_a_large_weight_is_placed() -> None:
    make = Builder()
    ids = make.input((2,), DType.INT64)
    small, large = make.weight((16, 8)), make.weight((1 << 16, 8))
    looked = [make.node("aten.index_select.default", [table, 0, ids], (2, 8)) for table in (small, large)]
    contraction = contract(make.graph(make.relu(make.linear(make.add(*looked), 8))))
    assert not contraction.is_placed(0)
    assert contraction.is_placed(1)


def test_cheap_values_are_repeated_only_so_far() -> None:
    make = Builder()
    value = make.node("aten._to_copy.default", [make.input((2, 8), DType.INT64)], (2, 8))
    for _ in range(2000):
        value = make.relu(value)
    contraction = contract(make.graph(make.linear(value, 8)))
    assert len(contraction.placed) == 2002 - 512
    assert max(len(contraction.reads(index).repeated) for index in contraction.placed) <= 512


def test_a_short_product_is_cheap_and_a_long_one_is_not() -> None:
    make = Builder()
    position = make.node("aten._to_copy.default", [make.input((8, 1), DType.INT64)], (8, 1))
    table = make.node("aten.matmul.default", [position, make.weight((1, 4))], (8, 4))
    full = make.node("aten.matmul.default", [table, make.weight((4, 4))], (8, 4))
    wide = make.node("aten.matmul.default", [full, make.weight((4, 64))], (8, 64))
    graph = make.graph(make.node("aten.matmul.default", [wide, make.weight((64, 8))], (8, 8)))
    assert contract(graph).placed == (4,)


def test_who_reads_a_written_buffer_is_placed() -> None:
    make = Builder()
    make.input((2, 8))
    buffer = make.weight((2, 8), trainable=False)
    doubled = make.add(buffer, buffer)
    make.mutations.append(Mutation(target=buffer, tensor=doubled))
    graph = make.graph(make.relu(doubled))
    assert contract(graph).placed == (0, 1)
    assert contract(replace(graph, mutations=())).placed == (0, 1)  # nothing else would be left to place


def test_where_all_is_cheap_only_views_are_repeated() -> None:
    make = Builder()
    ids = make.input((2, 8), DType.INT64)
    graph = make.graph(make.view(make.relu(ids), (4, 4)))
    assert contract(graph).placed == (0,)


def test_needs_is_the_join_of_its_parts() -> None:
    graph = random_graph(3, 120)
    contraction = contract(graph)
    names = [output.tensor for output in graph.outputs] + [graph.nodes[i].name for i in contraction.placed]
    assert contraction.needs(names) == contraction.join(contraction.of(name) for name in names)
    for index in contraction.placed:
        assert contraction.reads(index) == contraction.join(contraction.of(n) for n in graph.nodes[index].inputs)


def test_a_graph_of_50_000_nodes_is_contracted_in_one_pass() -> None:
    contraction = contract(chain([4] * 25_001))
    assert len(contraction.placed) == 50_000
    assert contraction.reads(49_999).received == {contraction.graph.nodes[49_998].name}
