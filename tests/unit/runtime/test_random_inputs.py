"""Random integers stay within the tables they choose from."""

from __future__ import annotations

from partwise.ir import DType, Format, Graph, Node, Output, Ref, TensorSpec, Weight
from partwise.runtime.random_inputs import table_rows


def test_the_smallest_table_bounds_an_input() -> None:
    shapes = {"ids": (2, 3), "flat": (6,), "large": (90, 4), "small": (7, 4), "a": (2, 3, 4), "b": (6, 4)}
    nodes = (
        Node(op="aten.embedding.default", args=(Ref("large"), Ref("ids")), outputs=("a",)),
        Node(op="aten.view.default", args=(Ref("ids"), (6,)), outputs=("flat",)),
        Node(op="aten.embedding.default", args=(Ref("small"), Ref("flat")), outputs=("b",)),
    )
    graph = Graph(
        format=Format.TORCH,
        name="tables",
        settings=(),
        symbols=(),
        inputs=("ids",),
        weights=tuple(Weight(tensor=name, key=name, trainable=True) for name in ("large", "small")),
        outputs=(Output(name="a", tensor="a"), Output(name="b", tensor="b")),
        tensors=tuple(TensorSpec(name=n, dtype=DType.FLOAT32, shape=shape) for n, shape in shapes.items()),
        nodes=nodes,
    )
    assert table_rows(graph) == {"ids": 7}
