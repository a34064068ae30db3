"""Multiply-accumulates by operator, against the arithmetic of its definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from graphs import chain
from partwise.errors import GraphError
from partwise.ir import DType, Node, Ref, Sym, TensorSpec, operator
from partwise.ir.operators import Call

Shape = tuple[int | str, ...]


def macs(op: str, shapes: Sequence[Shape], out: Shape, literals: Sequence[object] = (), listed: bool = False) -> int:
    """Of a call with these tensors (as one list if `listed`), then these literals."""
    names = [f"t{i}" for i in range(len(shapes))]
    spec = {n: TensorSpec(name=n, dtype=DType.FLOAT32, shape=s) for n, s in zip(names, shapes, strict=True)}
    spec["out"] = TensorSpec(name="out", dtype=DType.FLOAT32, shape=out)
    refs = tuple(Ref(name) for name in names)
    args = (*literals, refs) if listed else (*refs, *literals)
    rule = operator(op).macs
    assert rule is not None
    return rule(Call(Node(op=op, args=args, outputs=("out",)), spec, {"batch": 3}))


@pytest.mark.parametrize(
    ("op", "shapes", "out", "expected"),
    [
        ("aten.linear.default", [("batch", 5, 7), (11, 7)], ("batch", 5, 11), 3 * 5 * 7 * 11),
        ("aten.matmul.default", [(2, 4, 5, 7), (7, 9)], (2, 4, 5, 9), 2 * 4 * 5 * 7 * 9),
        ("aten.matmul.default", [(7,), (7,)], (), 7),
        ("aten.addmm.default", [(9,), (5, 7), (7, 9)], (5, 9), 5 * 7 * 9),
        ("aten.baddbmm.default", [(1,), (2, 5, 7), (2, 7, 9)], (2, 5, 9), 2 * 5 * 7 * 9),
        ("aten.addbmm.default", [(1,), (2, 5, 7), (2, 7, 9)], (5, 9), 2 * 5 * 7 * 9),
        ("aten.outer.default", [(5,), (7,)], (5, 7), 35),
        ("aten.bilinear.default", [(2, 5), (2, 7), (11, 5, 7)], (2, 11), 2 * 11 * 5 * 7),
        ("aten.conv2d.default", [(2, 6, 8, 8), (12, 3, 3, 3)], (2, 12, 6, 6), 2 * 12 * 36 * 27),
        ("aten.conv_transpose2d.input", [(2, 6, 4, 4), (6, 5, 3, 3)], (2, 5, 6, 6), 2 * 6 * 16 * 5 * 9),
        ("aten.scaled_dot_product_attention.default", [(1, 2, 5, 8), (1, 2, 6, 8), (1, 2, 6, 4)], (1, 2, 5, 4),
         2 * 5 * 6 * 8 + 2 * 5 * 6 * 4),
        ("partwise.experts.default", [(10, 8), (10, 2), (10, 2), (4, 12, 8), (4, 8, 6)], (10, 8),
         10 * 2 * (12 * 8 + 8 * 6)),
    ],
)  # fmt: skip
def test_counts(op: str, shapes: Sequence[Shape], out: Shape, expected: int) -> None:
    assert macs(op, shapes, out) == expected


@pytest.mark.parametrize(
    ("op", "shapes", "out", "literals", "expected"),
    [
        ("aten.tensordot.default", [(3, 4, 5), (4, 5, 6)], (3, 6), ((1, 2), (0, 1)), 3 * 4 * 5 * 6),
        ("aten.tensordot.default", [(3, 4), (6, 4)], (3, 6), ((-1,), (-1,)), 3 * 4 * 6),
        ("aten.kron.default", [(3, 4), (2, 5)], (6, 20), (), 6 * 20),
        ("aten.linalg_vecdot.default", [(3, 4), (3, 4)], (3,), (), 3 * 4),
        ("aten.conv_tbc.default", [(5, 2, 3), (3, 3, 6), (6,)], (3, 2, 6), (), 3 * 2 * 6 * 3 * 3),
        ("aten.cdist.default", [(2, 4, 3), (2, 5, 3)], (2, 4, 5), (2.0, None), 2 * 4 * 5 * 3),
        ("aten.pdist.default", [(5, 3)], (10,), (), 10 * 3),
        ("aten._int_mm.default", [(5, 7), (7, 9)], (5, 9), (), 5 * 7 * 9),
    ],
)
def test_rarer_contractions(op: str, shapes: Sequence[Shape], out: Shape, literals: Sequence[object], expected: int):
    names = [f"t{i}" for i in range(len(shapes))]
    spec = {n: TensorSpec(name=n, dtype=DType.FLOAT32, shape=s) for n, s in zip(names, shapes, strict=True)}
    spec["out"] = TensorSpec(name="out", dtype=DType.FLOAT32, shape=out)
    rule = operator(op).macs
    assert rule is not None
    assert rule(Call(Node(op=op, args=(*map(Ref, names), *literals), outputs=("out",)), spec, {})) == expected


@pytest.mark.parametrize(
    ("shapes", "out", "expected"),
    [
        ([(10, 100), (100, 5), (5, 50)], (10, 50), 10 * 100 * 5 + 10 * 5 * 50),
        ([(10, 30), (30, 5), (5, 60), (60, 2)], (10, 2), 5 * 60 * 2 + 30 * 5 * 2 + 10 * 30 * 2),
        ([(7,), (7, 9), (9,)], (), 7 * 9 + 7),
    ],
)
def test_a_chain_is_multiplied_in_the_order_that_takes_the_least(
    shapes: Sequence[Shape], out: Shape, expected: int
) -> None:
    assert macs("aten.linalg_multi_dot.default", shapes, out, listed=True) == expected


def test_a_transposed_convolution_spreads_its_input() -> None:
    literals = (None, (1, 1), (0, 0), (1, 1), True, (0, 0), 1)
    assert macs("aten.convolution.default", [(2, 6, 4, 4), (6, 5, 3, 3)], (2, 5, 6, 6), literals) == 2 * 6 * 16 * 5 * 9


@pytest.mark.parametrize(
    ("equation", "shapes", "out", "expected"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)], (3, 5), 60),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)], (2, 3, 4, 6), 2 * 3 * 4 * 5 * 6),
        ("...d,de->...e", [(2, 3, 4), (4, 5)], (2, 3, 5), 2 * 3 * 4 * 5),
        ("i,j->ij", [(3,), (4,)], (3, 4), 12),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)], (2, 5), 2 * 3 * 4 + 2 * 4 * 5),
        ("ij->ji", [(3, 4)], (4, 3), 0),
    ],
)
def test_einsum_contracts_from_left_to_right(equation: str, shapes: Sequence[Shape], out: Shape, expected: int) -> None:
    assert macs("aten.einsum.default", shapes, out, (equation,), listed=True) == expected


def test_a_recurrent_layer_multiplies_by_each_matrix_at_each_step() -> None:
    tensors = {"x": (5, 2, 8), "h": (1, 2, 4), "wi": (16, 8), "wh": (16, 4), "b": (16,), "out": (5, 2, 4)}
    spec = {n: TensorSpec(name=n, dtype=DType.FLOAT32, shape=s) for n, s in tensors.items()}
    args = (Ref("x"), (Ref("h"), Ref("h")), (Ref("wi"), Ref("wh"), Ref("b")), True, 1)
    node = Node(op="aten.lstm.input", args=args, outputs=("out",))
    rule = operator("aten.lstm.input").macs
    assert rule is not None
    assert rule(Call(node, spec, {})) == 5 * 2 * (16 * 8 + 16 * 4)


def test_symbolic_literals_are_evaluated() -> None:
    call = Call(Node(op="aten.relu.default", args=(Sym("batch*2"),), outputs=("out",)), {}, {"batch": 3})
    assert call.integer(call.argument(0), 1) == 6
    assert call.integer(None, 1) == 1


@pytest.mark.parametrize("args", [(), (Ref("input_0"),), (Ref("input_0"), None), (1, 2)])
def test_a_call_that_no_operator_takes_is_a_broken_graph(args: tuple[object, ...]) -> None:
    graph = chain([8, 8])
    node = replace(graph.nodes[0], args=args)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="does not take"):
        operator(node.op).count_macs(graph, node, {})
