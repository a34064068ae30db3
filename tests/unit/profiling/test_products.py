"""Contractions as products, on shapes small enough to count by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from graphs import Builder
from partwise.hardware import REFERENCE_DEVICE, Product
from partwise.ir import DType, Format, Graph, Kind, Node, Output, Ref, TensorSpec
from partwise.profiling import Bound, Cost, Parallelism, profile
from partwise.profiling.products import parallelism


def cost(op: str, out: Sequence[int], *operands: Sequence[int], more: Sequence[object] = ()) -> Cost:
    """Of one node; the first operand is an input, the others are weights."""
    make = Builder()
    names = [make.input(operands[0]), *(make.weight(shape) for shape in operands[1:])]
    made = make.node(op, [*names, *more], out)
    return profile(make.graph(made)).nodes[0]


@pytest.mark.parametrize(
    ("op", "out", "operands", "expected"),
    [
        ("aten.linear.default", (2, 5, 7), ((2, 5, 3), (7, 3)), [Product(1, 10, 7, 3)]),
        ("aten.matmul.default", (4, 5, 7), ((4, 5, 3), (4, 3, 7)), [Product(4, 5, 7, 3)]),
        ("aten.conv2d.default", (2, 8, 5, 5), ((2, 4, 5, 5), (8, 4, 3, 3)), [Product(1, 50, 8, 36)]),
        ("aten.conv2d.default", (2, 4, 5, 5), ((2, 4, 5, 5), (4, 1, 3, 3)), [Product(4, 50, 1, 9)]),
        ("aten.conv_transpose2d.input", (2, 8, 10, 10), ((2, 4, 5, 5), (4, 8, 2, 2)), [Product(1, 50, 32, 4)]),
        (
            "aten.scaled_dot_product_attention.default",
            (2, 3, 5, 6),
            ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)),
            [Product(6, 5, 7, 4), Product(6, 5, 6, 7)],
        ),
    ],
)
def test_the_products_have_the_macs_of_the_node(
    op: str, out: Sequence[int], operands: Sequence[Sequence[int]], expected: list[Product]
) -> None:
    found = cost(op, out, *operands)
    assert list(found.products) == expected
    assert sum(product.macs for product in found.products) == found.macs


@pytest.mark.parametrize(
    ("equation", "shapes", "out", "expected"),
    [
        ("byhwc,hkc->byhwk", [(2, 3, 4, 5, 6), (4, 7, 6)], (2, 3, 4, 5, 7), Product(4, 30, 7, 6)),
        ("...ij,...jk->...ik", [(2, 5, 3), (2, 3, 7)], (2, 5, 7), Product(2, 5, 7, 3)),
        ("ij,jk->k", [(2, 3), (3, 7)], (7,), Product(1, 1, 7, 6)),
        ("ij,jk,kl->il", [(2, 3), (3, 7), (7, 5)], (2, 5), Product(1, 2, 5, 11)),
    ],
)
def test_an_einsum_by_the_dims_that_stay(
    equation: str, shapes: Sequence[Sequence[int]], out: Sequence[int], expected: Product
) -> None:
    """Of more than two operands, or with a dim summed alone, one product over the result's elements."""
    make = Builder()
    names = [make.input(shape) for shape in shapes]
    graph = make.graph(make.node("aten.einsum.default", names, out))
    node = replace(graph.nodes[0], args=(equation, tuple(map(Ref, names))))
    (found,) = profile(replace(graph, nodes=(node,))).nodes[0].products
    assert found == expected


def test_a_tensordot_by_the_dims_that_stay() -> None:
    found = cost("aten.tensordot.default", (3, 6), (3, 4, 5), (4, 5, 6), more=((1, 2), (0, 1)))
    assert found.products == (Product(1, 3, 6, 20),)


@pytest.mark.parametrize(
    ("kind", "shape", "expected"),
    [
        (Kind.CONV, (2, 8, 5, 6), Parallelism(2, 8, 30)),
        (Kind.MATMUL, (2, 5, 7), Parallelism(2, 7, 5)),
        (Kind.ATTENTION, (2, 3, 5, 7), Parallelism(2, 21, 5)),
        (Kind.MATMUL, (2, 7), Parallelism(2, 7, 1)),
        (Kind.REDUCTION, (), Parallelism(1, 1, 1)),
    ],
)
def test_parallelism_says_what_the_elements_are(kind: Kind, shape: tuple[int, ...], expected: Parallelism) -> None:
    found = parallelism(kind, shape)
    assert found == expected
    assert found.threads == expected.batch * expected.channels * expected.spatial


def test_a_node_is_bound_by_the_longer_side_of_the_roofline() -> None:
    assert cost("aten.linear.default", (1, 4096), (1, 4096), (4096, 4096)).bound(REFERENCE_DEVICE) is Bound.MEMORY
    assert (
        cost("aten.linear.default", (4096, 4096), (4096, 4096), (4096, 4096)).bound(REFERENCE_DEVICE) is Bound.COMPUTE
    )
    assert cost("aten.view.default", (6,), (2, 3), more=((6,),)).bound(REFERENCE_DEVICE) is Bound.NONE


def test_a_buffer_written_in_place_costs_what_is_written() -> None:
    make = Builder()
    cache, place, fresh = make.input((1, 8, 100, 64)), make.input((1,), DType.INT64), make.input((1, 8, 1, 64))
    made = make.node("aten.index_copy.default", [cache, 2, place, fresh], (1, 8, 100, 64))
    found = profile(make.graph(made)).nodes[0]
    assert found.traffic_bytes <= 2 * (8 * 64 * 4 + 8)


def test_what_is_not_known_is_said_with_its_share() -> None:
    def spec(name: str, shape: tuple[int, ...] | None) -> TensorSpec:
        return TensorSpec(name=name, dtype=DType.FLOAT32, shape=shape)

    graph = Graph(
        format=Format.ONNX,
        name="odd",
        settings=(),
        symbols=(),
        inputs=("x",),
        weights=(),
        outputs=(Output(name="z", tensor="z"),),
        tensors=(spec("x", (4, 8)), spec("y", (4, 8)), spec("z", None)),
        nodes=(
            Node(op="onnx.Relu", args=(Ref("x"),), outputs=("y",)),
            Node(op="onnx.Unique", args=(Ref("y"),), outputs=("z",)),
        ),
    )
    found = profile(graph)
    (odd,) = found.unknown
    assert (odd.op, odd.nodes, odd.bytes) == ("onnx.Unique", 1, 4 * 8 * 4)
    assert odd.share == pytest.approx(1 / 3)
    assert "shape" in odd.why
