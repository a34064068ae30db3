"""Cases on onnxruntime: each a session of one operator, optimized as a whole model is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from partwise.calibration.cases import WIDTH_BETWEEN, Case, Prepared
from partwise.extras import require

__all__ = ["LAYS_OUT", "cold_launches", "conv_launches", "launches", "prepare"]

LAYS_OUT = False
"""Within a model convolutions leave their results in blocks for the next."""

_OPSET = 23
_OPS = {
    "linear": "MatMul",
    "bmm": "MatMul",
    "attention": "Attention",
    "conv": "Conv",
    "add": "Add",
    "relu": "Relu",
    "gelu": "Gelu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "max_pool": "MaxPool",
    "softmax": "Softmax",
    "layer_norm": "LayerNormalization",
}
_CHAIN = 100
"""Operators of the model by which launches are timed: a session's own call is shared by so many."""
_SMALL = ("Relu", "Softmax", "Sigmoid", "Neg", "Tanh", "LeakyRelu", "Abs", "Erf", "Sqrt", "Reciprocal")


def prepare(case: Case, threads: int) -> Prepared:
    """The operator on random values."""
    generator = np.random.default_rng(0)
    inputs = {f"x{number}": shape for number, shape in enumerate(case.inputs)}
    held = {f"w{number}": _weight(case, shape, generator) for number, shape in enumerate(case.weights)}
    if case.op == "layer_norm":
        held = {"w0": np.ones(case.inputs[0][-1:], np.float32)}
    make, copies = require("onnx").helper.make_node, range(case.copies)
    weights = {f"{name}_{copy}": value for copy in copies for name, value in held.items()}
    outputs = {f"y{copy}": case.out for copy in copies}
    nodes = [make(_OPS[case.op], [*inputs, *_own(held, copy)], [f"y{copy}"], **_attributes(case)) for copy in copies]
    arrays = {name: generator.standard_normal(shape, np.float32) for name, shape in inputs.items()}
    return Prepared(_call(_session(nodes, inputs, weights, outputs, threads), arrays), case.copies)


def launches(threads: int) -> Prepared:
    """A chain of operators so small that only their launches take time."""
    make = require("onnx").helper.make_node
    nodes = [make("Add", [f"x{number}", "x0"], [f"x{number + 1}"]) for number in range(_CHAIN)]
    nodes.append(make("Identity", [f"x{_CHAIN}"], ["y"]))
    session = _session(nodes, {"x0": (16,)}, {}, {"y": (16,)}, threads)
    return Prepared(_call(session, {"x0": np.ones(16, np.float32)}), _CHAIN)


def cold_launches(threads: int) -> tuple[Prepared, Prepared]:
    """Small operators of many kinds, each after a product that took the core's cache for itself; the products alone."""
    return _products(_SMALL, threads), _products((), threads)


def _products(small: Sequence[str], threads: int) -> Prepared:
    make, nodes, last = require("onnx").helper.make_node, list[Any](), "x"
    for number in range(len(_SMALL)):
        nodes.append(make("MatMul", [last, f"w{number}"], [f"p{number}"]))
        last = f"p{number}"
        if small:
            nodes.append(make(small[number], [last], [f"s{number}"]))
            last = f"s{number}"
    generator = np.random.default_rng(0)
    shape = (WIDTH_BETWEEN, WIDTH_BETWEEN)
    weights = {f"w{number}": generator.standard_normal(shape, np.float32) for number in range(len(_SMALL))}
    row = {"x": (1, WIDTH_BETWEEN)}
    session = _session(nodes, row, weights, {last: row["x"]}, threads)
    return Prepared(_call(session, {"x": np.ones(row["x"], np.float32)}), len(_SMALL))


def conv_launches(threads: int) -> Prepared:
    """The same of convolutions, of a channel at a time."""
    make, image = require("onnx").helper.make_node, (1, 16, 8, 8)
    attributes = {"pads": [1] * 4, "group": image[1]}
    nodes = [make("Conv", [f"x{number}", "w"], [f"x{number + 1}"], **attributes) for number in range(_CHAIN)]
    weights = {"w": np.ones((image[1], 1, 3, 3), np.float32)}
    session = _session(nodes, {"x0": image}, weights, {f"x{_CHAIN}": image}, threads)
    return Prepared(_call(session, {"x0": np.ones(image, np.float32)}), _CHAIN)


def _own(held: Iterable[str], copy: int) -> list[str]:
    return [f"{name}_{copy}" for name in held]


def _call(session: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Callable[[], object]:
    """A run that leaves its outputs where onnxruntime made them, as within a model."""
    binding = session.io_binding()
    for name, array in arrays.items():
        binding.bind_cpu_input(name, array)
    for output in session.get_outputs():
        binding.bind_output(output.name, "cpu")

    def call() -> object:
        session.run_with_iobinding(binding)
        return binding

    return call


def _weight(case: Case, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray[Any, Any]:
    values = generator.standard_normal(shape, np.float32)
    return values.T.copy() if case.op == "linear" else values


def _attributes(case: Case) -> dict[str, Any]:
    if case.op == "conv":
        padding = case.weights[0][-1] // 2
        return {"strides": [case.stride] * 2, "pads": [padding] * 4, "group": case.groups}
    if case.op == "max_pool":
        return {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    return {"axis": -1} if case.op in ("softmax", "layer_norm") else {}


def _session(
    nodes: list[Any],
    inputs: dict[str, tuple[int, ...]],
    weights: dict[str, np.ndarray[Any, Any]],
    outputs: dict[str, tuple[int, ...]],
    threads: int,
) -> Any:
    onnx, ort = require("onnx"), require("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=11)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return ort.InferenceSession(model.SerializeToString(), options)
