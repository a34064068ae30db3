"""Operators split for circuits, over random shapes: the same integers, and onnxruntime's own values before that."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from circuit_models import chain, run
from partwise.verification.zk.circuits import evaluate, lower
from partwise.verification.zk.circuits.split_inner import split_inner
from partwise.verification.zk.circuits.split_rows import split_rows

BITS = 5
EXAMPLES = settings(max_examples=25)


def same(model: bytes, parts: bytes, shape: tuple[int, ...], seed: int) -> None:
    """Equal integers, and floats that differ by the order of a sum at most."""
    onnx.checker.check_model(onnx.load_from_string(parts))
    random = np.random.default_rng(seed)
    given = {"x": np.rint(random.normal(size=shape) * 2**BITS).astype(int).astype(object)}
    whole, split = (evaluate(lower(m, weight_bits=BITS, input_bits=BITS), given)["y"] for m in (model, parts))
    assert whole.tolist() == split.tolist()
    x = random.normal(size=shape)
    np.testing.assert_allclose(run(parts, x), run(model, x), rtol=1e-5, atol=1e-5)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[bytes, tuple[int, ...]]:
    """A convolution with a window of any kind, with what may follow it."""
    groups, image = draw(st.sampled_from([1, 2])), draw(st.tuples(st.integers(5, 9), st.integers(5, 9)))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pads = [draw(st.integers(0, size - 1)) for size in (*kernel, *kernel)]
    attributes: dict[str, Any] = {
        "kernel_shape": list(kernel),
        "strides": [draw(st.integers(1, 2)), draw(st.integers(1, 2))],
        "dilations": [draw(st.integers(1, 2)), draw(st.integers(1, 2))],
        "group": groups,
        "pads": pads,
    }
    random = np.random.default_rng(draw(st.integers(0, 9)))
    weights = {"w": random.normal(size=(4, 4 // groups, *kernel)) / 3, "b": random.normal(size=4)}
    after = draw(st.sampled_from(["Relu", "MaxPool", "AveragePool", "overlapping"]))
    last = {
        "Relu": ("Relu", ["r"], "y", {}),
        "MaxPool": ("MaxPool", ["r"], "y", {"kernel_shape": [2, 1], "strides": [2, 1]}),
        "AveragePool": ("AveragePool", ["r"], "y", {"kernel_shape": [1, 2], "strides": [1, 2]}),
        "overlapping": ("MaxPool", ["r"], "y", {"kernel_shape": [2, 2], "strides": [1, 1], "pads": [1, 0, 0, 1]}),
    }[after]
    made = chain([1, 4, *image], [("Conv", ["x", "w", "b"], "c", attributes), ("Relu", ["c"], "r", {}), last], weights)
    return made, (1, 4, *image)


def units(model: bytes, nodes: list[str], axis: int) -> int:
    from partwise.verification.zk.circuits.row_region import Rows

    region = Rows(onnx.load_from_string(model)).region(nodes, axis)
    return 0 if region is None else region.units


@EXAMPLES
@given(convolutions(), st.sampled_from([2, 3]), st.data())
def test_rows_of_a_convolution(made: tuple[bytes, tuple[int, ...]], axis: int, data: st.DataObject) -> None:
    model, shape = made
    if (most := units(model, ["c"], axis)) > 1:
        parts = split_rows(model, ["c"], axis, data.draw(st.integers(2, most)))
        same(model, parts, shape, 0)
        first = onnx.load_from_string(parts).graph.node[0]
        if (again := units(parts, ["c/0"], 5 - axis)) > 1:
            assert first.op_type in ("Slice", "Conv")
            same(model, split_rows(parts, ["c/0"], 5 - axis, again), shape, 1)


@EXAMPLES
@given(
    st.sampled_from(["MaxPool", "AveragePool"]),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 3),
    st.data(),
)
def test_pools_at_the_head(
    op: str, kernel: tuple[int, int], strides: tuple[int, int], axis: int, data: st.DataObject
) -> None:
    """Along channels, rows or columns, whether windows overlap, lie side by side, or leave gaps."""
    pads = [data.draw(st.integers(0, size - 1)) if op == "MaxPool" else 0 for size in (*kernel, *kernel)]
    attributes = {"kernel_shape": list(kernel), "strides": list(strides), "pads": pads}
    model, shape = chain([1, 3, 7, 8], [(op, ["x"], "y", attributes)], {}), (1, 3, 7, 8)
    if (most := units(model, ["y"], axis)) > 1:
        same(model, split_rows(model, ["y"], axis, data.draw(st.integers(2, most))), shape, 2)


@EXAMPLES
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_what_works_element_by_element_at_the_head(shape: list[int], data: st.DataObject) -> None:
    """Along any axis, with constants that have the axis, have it once, or lack it, and a value that goes round."""
    of_all, of_last = np.random.default_rng(0).normal(size=(2, *shape))
    weights = {"a": of_all, "b": of_last[..., :1], "c": np.array(2.0), "d": of_last.reshape(-1, shape[-1])[0]}
    nodes = [
        ("Add", ["x", "a"], "p", {}),
        ("Relu", ["p"], "q", {}),
        ("Mul", ["q", "c"], "r", {}),
        ("Sub", ["r", "b"], "s", {}),
        ("Mul", ["s", "d"], "t", {}),
        ("Add", ["t", "x"], "y", {}),
    ]
    model, axis = chain(shape, nodes, weights), data.draw(st.integers(0, len(shape) - 1))
    if shape[axis] > 1:
        made = split_rows(model, ["p"], axis, data.draw(st.integers(2, shape[axis])))
        assert [node.op_type for node in onnx.load_from_string(made).graph.node].count("Relu") > 1
        same(model, made, tuple(shape), 3)


@EXAMPLES
@given(st.sampled_from(["MatMul", "Gemm", "Conv"]), st.integers(2, 6), st.integers(1, 4), st.data())
def test_products_along_their_inputs(op: str, depth: int, rows: int, data: st.DataObject) -> None:
    """Where the inputs come whole: each part reads its own, and adds to what the parts before it add up to."""
    random = np.random.default_rng(depth)
    shape, attributes = ([1, depth, rows, rows], {"kernel_shape": [1, 1]}) if op == "Conv" else ([rows, depth], {})
    weights = {"w": random.normal(size=(3, depth, 1, 1) if op == "Conv" else (depth, 3)), "b": random.normal(size=3)}
    given_ = ["x", "w"] if op == "MatMul" else ["x", "w", "b"]
    model = chain(shape, [(op, given_, "p", attributes), ("Relu", ["p"], "y", {})], weights)
    parts = split_inner(model, "p", data.draw(st.integers(2, depth)))
    same(model, parts, tuple(shape), 4)
    reads = {name for node in onnx.load_from_string(parts).graph.node if node.op_type == op for name in node.input}
    assert "x" not in reads


@EXAMPLES
@given(st.integers(2, 5), st.booleans(), st.data())
def test_rows_of_a_products_operand(rows: int, batched: bool, data: st.DataObject) -> None:
    """Tokens of a sequence, with the normalization and the sum that follow."""
    random = np.random.default_rng(rows)
    weights = {"w": random.normal(size=(4, 6)), "b": random.normal(size=6), "v": random.normal(size=(rows, 6))}
    shape, axis = ([1, rows, 4], 1) if batched else ([rows, 4], 0)
    first = ("MatMul", ["x", "w"], "p", {}) if batched else ("Gemm", ["x", "w", "b"], "p", {})
    model = chain(shape, [first, ("Add", ["p", "v"], "s", {}), ("Relu", ["s"], "y", {})], weights)
    same(model, split_rows(model, ["p"], axis, data.draw(st.integers(2, rows))), tuple(shape), 5)
