"""Rewritten circuits against onnxruntime and against exact integers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from circuit_models import chain, convolution, linear, multilayer, residual, run
from partwise.errors import InputError, ModelError, UnsupportedOpError
from partwise.verification.zk.circuits import bounds, evaluate, lower
from partwise.verification.zk.circuits.split import split_operator
from partwise.verification.zk.circuits.split_rows import split_rows

BITS = 12
CASES = {
    "linear": (linear(), (1, 6)),
    "two layers": (multilayer(), (1, 6)),
    "residual": (residual(), (1, 6)),
    "conv": (convolution(), (1, 2, 8, 8)),
    "conv padded, stride 2": (convolution(pads=1, stride=2), (1, 2, 8, 8)),
    "conv in groups": (convolution(groups=2), (1, 2, 8, 8)),
    "average": (convolution(pool="AveragePool"), (1, 2, 8, 8)),
    "global average": (convolution(pool="GlobalAveragePool"), (1, 2, 8, 8)),
}


def sample(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape)


@pytest.mark.parametrize("name", CASES)
def test_integers_are_near_onnxruntime(name: str) -> None:
    model, shape = CASES[name]
    circuit, x = lower(model, weight_bits=BITS, input_bits=BITS), sample(shape)
    found = evaluate(circuit, {"x": np.rint(x * 2**BITS).astype(int)})["y"]
    real = np.array([int(v) / 2 ** circuit.outputs[0].bits for v in found.reshape(-1)])
    assert np.abs(real - run(model, x).reshape(-1)).max() < 3e-3
    assert circuit.is_integer


@pytest.mark.parametrize("name", CASES)
def test_the_circuit_run_by_onnxruntime_gives_the_same_integers(name: str) -> None:
    model, shape = CASES[name]
    circuit = lower(model, weight_bits=3, input_bits=3)  # few digits: float32 holds them exactly
    x = np.rint(sample(shape) * 8)
    found = evaluate(circuit, {"x": x.astype(int)})["y"]
    assert run(circuit.model, x).reshape(-1).tolist() == [float(v) for v in found.reshape(-1)]


@pytest.mark.parametrize("name", CASES)
def test_no_value_leaves_its_bounds(name: str) -> None:
    model, shape = CASES[name]
    circuit = lower(model, weight_bits=6, input_bits=6)
    reach = bounds(circuit, {"x": 64})
    for seed in range(5):
        x = np.rint(sample(shape, seed) * 64).astype(int)
        assert bounds(circuit, {"x": x}, spread=False) <= reach


def test_pooling_comes_before_relu_and_bias() -> None:
    circuit = lower(convolution())
    kinds = [node.op_type for node in onnx.load_from_string(circuit.model).graph.node]
    assert kinds.count("Relu") == 4, "three for the maxima, one for the Relu itself"
    assert "MaxPool" not in kinds
    assert "Conv" not in kinds


def test_each_layer_has_its_own_digits() -> None:
    circuit = lower(multilayer(), weight_bits={"a": 4, "d": 6}, input_bits=3)
    assert circuit.outputs[0].bits == 3 + 4 + 6


def test_outputs_are_rounded_where_asked_for() -> None:
    x = np.rint(sample((1, 6)) * 256).astype(int)
    long, short = (
        lower(linear(), weight_bits=8, input_bits=8),
        lower(linear(), weight_bits=8, input_bits=8, output_bits=8),
    )
    exact, rounded = evaluate(long, {"x": x})["y"], evaluate(short, {"x": x})["y"]
    assert rounded.tolist() == ((exact + 128) // 256).tolist()


@pytest.mark.parametrize(("model", "node"), [(linear(), "fc"), (convolution(), "conv"), (multilayer(), "a")])
def test_a_split_operator_computes_the_same(model: bytes, node: str) -> None:
    shape = CASES["conv" if node == "conv" else "linear"][1]
    split, x = split_operator(model, node, 3), sample(shape)
    assert np.array_equal(run(split, x), run(model, x)) or np.abs(run(split, x) - run(model, x)).max() < 1e-6
    given = {"x": np.rint(x * 256).astype(int)}
    assert evaluate(lower(split), given)["y"].tolist() == evaluate(lower(model), given)["y"].tolist()


def test_what_follows_channel_by_channel_is_split_too() -> None:
    kinds = [node.op_type for node in onnx.load_from_string(split_operator(convolution(), "conv", 2)).graph.node]
    assert sorted(kinds) == ["Concat", "Conv", "Conv", "MaxPool", "MaxPool", "Relu", "Relu"]


def test_what_cannot_be_drawn_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOpError, match=r"node `y`: Sigmoid is not exact on integers"):
        lower(chain([1, 2], [("Sigmoid", ["x"], "y", {})], {}))
    with pytest.raises(UnsupportedOpError, match="a computed operand"):
        lower(chain([2, 2], [("MatMul", ["x", "x"], "y", {})], {}))
    with pytest.raises(ModelError, match="is no ONNX model"):
        lower(b"nothing")


def test_a_split_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="no such node"):
        split_operator(linear(), "nothing", 2)
    with pytest.raises(InputError, match="2 to 5 parts"):
        split_operator(linear(), "fc", 6)
    with pytest.raises(UnsupportedOpError, match="no constant weight"):
        split_operator(linear(), "y", 2)


def test_parts_of_one_weight_and_of_one_value_do_not_meet() -> None:
    """Two parts of a convolution, split by channels into other numbers; two readers of the same rows."""
    model = convolution(pads=1, pool="")
    parts = split_operator(split_operator(split_rows(model, ["conv"], 2, 2), "conv/0", 2), "conv/1", 4)
    same_integers(model, parts, "relu")
    twice = chain([4, 3], [("Relu", ["x"], "p", {}), ("Sub", ["x", "x"], "q", {}), ("Add", ["q", "p"], "y", {})], {})
    parts = split_rows(split_rows(twice, ["y"], 0, 2), ["q"], 0, 2)
    onnx.checker.check_model(onnx.load_from_string(parts))
    same_integers(twice, split_rows(parts, ["p"], 0, 2), "y")


def same_integers(model: bytes, parts: bytes, output: str) -> None:
    shape = [dim.dim_value for dim in onnx.load_from_string(model).graph.input[0].type.tensor_type.shape.dim]
    x = {"x": np.rint(sample(tuple(shape)) * 64).astype(int)}
    found = (evaluate(lower(m, weight_bits=6, input_bits=6), x)[output].tolist() for m in (model, parts))
    assert next(found) == next(found)
