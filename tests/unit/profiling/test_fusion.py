"""Fusion's rules on graphs small enough to fuse by hand."""

from __future__ import annotations

import pytest

from graphs import Builder, chain, diamond, transformer
from partwise.ir import Graph
from partwise.profiling import Fusion, Rules, fuse, profile
from partwise.profiling.fusion_flow import Flow

ROWS, WIDTH = 4, 8
TENSOR = ROWS * WIDTH * 4  # bytes of one value
WEIGHT = WIDTH * WIDTH * 4


def ops(graph: Graph, found: Fusion) -> list[list[str]]:
    return [[graph.nodes[index].op.split(".")[1] for index in unit.nodes] for unit in found.units]


def test_alone_every_value_is_written_and_read() -> None:
    graph = chain([WIDTH, WIDTH, WIDTH], ROWS)  # linear, relu, linear, relu
    found = fuse(graph, profile(graph), rules=Rules.NONE)
    assert found.activation_bytes == 4 * 2 * TENSOR
    assert found.traffic_bytes == found.unfused_bytes == found.activation_bytes + 2 * WEIGHT
    assert found.saved == 0


def test_pointwise_steps_go_with_their_maker() -> None:
    graph = chain([WIDTH, WIDTH, WIDTH], ROWS)
    for rules in (Rules.PATTERNS, Rules.SOURCE):
        found = fuse(graph, profile(graph), rules=rules)
        assert ops(graph, found) == [["linear", "relu"], ["linear", "relu"]]
    assert fuse(graph, profile(graph), rules=Rules.PATTERNS).activation_bytes == 4 * TENSOR


def test_a_decomposition_needs_the_whole_matrix_though_its_result_has_the_shape_of_a_sum() -> None:
    units = []
    for op in ("sum.dim_IntList", "linalg_eigvalsh.default"):
        make = Builder()
        square = make.node("aten.relu.default", [make.input((WIDTH, WIDTH))], (WIDTH, WIDTH))
        graph = make.graph(make.node(f"aten.{op}", [square, (1,)] if "sum" in op else [square], (WIDTH,)))
        units.append(len(fuse(graph, profile(graph), fast_memory_bytes=None).units))
    assert units == [1, 2]


def test_fast_memory_decides_whether_two_products_are_one_unit() -> None:
    graph = chain([WIDTH, WIDTH, WIDTH], ROWS)
    row = 16 * WIDTH * 4  # a tile's rows of what lies between the two products
    enough, less = (fuse(graph, profile(graph), fast_memory_bytes=limit) for limit in (row, row - 1))
    assert ops(graph, enough) == [["linear", "relu", "linear", "relu"]]
    assert ops(graph, less) == [["linear", "relu"], ["linear", "relu"]]
    assert (enough.activation_bytes, less.activation_bytes) == (2 * TENSOR, 4 * TENSOR)
    assert enough.gap == less.gap == 0


def test_a_fork_ends_a_unit_of_the_patterns_and_a_join_begins_one() -> None:
    graph = diamond(WIDTH, ROWS)
    found = fuse(graph, profile(graph), rules=Rules.PATTERNS)
    assert ops(graph, found) == [["linear"], ["linear", "relu", "linear", "relu"], ["add"]]  # the branches are parallel
    best = fuse(graph, profile(graph), fast_memory_bytes=None)
    assert len(best.units) == 1


def test_parallel_products_read_their_value_once() -> None:
    make = Builder()
    x = make.input((ROWS, WIDTH))
    graph = make.graph(*(make.linear(x, WIDTH) for _ in range(3)))
    for rules in (Rules.PATTERNS, Rules.OPTIMAL):
        found = fuse(graph, profile(graph), rules=rules)
        assert len(found.units) == 1
        assert found.units[0].input_bytes == TENSOR


def attention(make: Builder, x: str) -> str:
    q, k, v = (make.linear(x, WIDTH) for _ in range(3))
    turned = make.node("aten.transpose.int", [k, 0, 1], (WIDTH, ROWS))
    scores = make.node("aten.matmul.default", [q, turned], (ROWS, ROWS))
    scaled = make.node("aten.mul.Tensor", [scores, 0.5], (ROWS, ROWS))
    masked = make.add(scaled, make.node("aten.triu.default", [make.input((ROWS, ROWS))], (ROWS, ROWS)))
    return make.node("aten.matmul.default", [make.node("aten.softmax.int", [masked, -1], (ROWS, ROWS)), v],
                     (ROWS, WIDTH))  # fmt: skip


def test_attention_is_one_unit_however_little_fast_memory_there_is() -> None:
    make = Builder()
    graph = make.graph(attention(make, make.input((ROWS, WIDTH))))
    for rules in (Rules.PATTERNS, Rules.OPTIMAL):
        units = ops(graph, fuse(graph, profile(graph), rules=rules, fast_memory_bytes=0))
        assert any(set(unit) >= {"matmul", "mul", "add", "softmax"} and unit.count("matmul") == 2 for unit in units)


def test_scores_that_something_else_reads_are_no_attention() -> None:
    make = Builder()
    q, k, v = (make.input((ROWS, WIDTH)) for _ in range(3))
    scores = make.node("aten.matmul.default", [q, k], (ROWS, ROWS))
    soft = make.node("aten.softmax.int", [scores, -1], (ROWS, ROWS))
    graph = make.graph(make.node("aten.matmul.default", [soft, v], (ROWS, WIDTH)), scores)
    assert len(fuse(graph, profile(graph), fast_memory_bytes=0).units) > 1


def test_a_norm_of_single_operations_is_one_unit() -> None:
    make = Builder()
    x = make.input((ROWS, WIDTH))
    mean = make.node(
        "aten.mean.dim", [make.node("aten.pow.Tensor_Scalar", [x, 2], (ROWS, WIDTH)), (-1,), True], (ROWS, 1)
    )
    scaled = make.node("aten.mul.Tensor", [x, make.node("aten.rsqrt.default", [mean], (ROWS, 1))], (ROWS, WIDTH))
    graph = make.graph(make.node("aten.mul.Tensor", [scaled, make.weight((WIDTH,))], (ROWS, WIDTH)))
    for rules in (Rules.PATTERNS, Rules.OPTIMAL):
        assert ops(graph, fuse(graph, profile(graph), rules=rules)) == [["pow", "mean", "rsqrt", "mul", "mul"]]


@pytest.mark.parametrize(
    "op", ["aten.transpose.int", "aten.t.default"], ids=["transpose", "t"]
)  # rows no longer lie where the product made them
def test_a_product_cannot_stream_what_was_turned(op: str) -> None:
    make = Builder()
    made = make.linear(make.input((WIDTH, WIDTH)), WIDTH)
    turned = make.node(op, [made, 0, 1] if "transpose" in op else [made], (WIDTH, WIDTH))
    graph = make.graph(make.linear(turned, WIDTH))
    assert len(fuse(graph, profile(graph), fast_memory_bytes=None).units) == 2


def test_a_convolution_reads_its_image_from_memory_but_one_of_a_pixel_streams() -> None:
    def network(kernel: int) -> Graph:
        make = Builder()
        x = make.node("aten.conv2d.default", [make.input((1, 4, 6, 6)), make.weight((4, 4, 3, 3))], (1, 4, 6, 6))
        x = make.relu(x)
        weight = make.weight((8, 4, kernel, kernel))
        return make.graph(make.node("aten.conv2d.default", [x, weight, None, 1, kernel // 2], (1, 8, 6, 6)))

    for kernel, units in ((3, 2), (1, 1)):
        graph = network(kernel)
        assert len(fuse(graph, profile(graph)).units) == units


def test_a_slice_is_read_as_large_as_it_is_and_an_expanded_value_once() -> None:
    make = Builder()
    x = make.input((ROWS, WIDTH))
    part = make.node("aten.slice.Tensor", [x, 0, 0, 1], (1, WIDTH))
    wide = make.node("aten.expand.default", [part, (ROWS, WIDTH)], (ROWS, WIDTH))
    graph = make.graph(make.relu(part), make.relu(wide))
    narrow, broad = Flow(graph, profile(graph)).alone()
    assert narrow.input_bytes == WIDTH * 4
    assert broad.input_bytes == TENSOR  # no more than the memory has; which part of it is not followed


def test_what_a_block_repeats_is_fused_alike() -> None:
    graph = transformer(6, 64, 32, vocabulary=100)
    found = fuse(graph, profile(graph), fast_memory_bytes=20_000)
    shapes = [tuple(unit) for unit in ops(graph, found)]
    assert len(set(shapes)) <= len(shapes) / 3
    assert 0 <= found.gap < 0.5
