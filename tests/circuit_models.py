"""Small float models, as ONNX, that circuits are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["chain", "convolution", "feed_forward", "linear", "multilayer", "residual", "run"]

CONV = {"strides": [1, 1], "dilations": [1, 1], "group": 1, "pads": [0, 0, 0, 0]}


def chain(shape: Sequence[int], nodes: Sequence[tuple], weights: dict[str, np.ndarray], name: str = "segment") -> bytes:
    """Nodes (operator, inputs, output, attributes); the last one's output leaves."""
    made = [helper.make_node(op, ins, [out], name=out, **attributes) for op, ins, out, attributes in nodes]
    graph = helper.make_graph(
        made,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(made[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), key) for key, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model).SerializeToString()


def linear(inputs: int = 6, outputs: int = 5) -> bytes:
    random = np.random.default_rng(0)
    weights = {"w": random.normal(size=(outputs, inputs)) / 4, "b": random.normal(size=outputs)}
    return chain([1, inputs], [("Gemm", ["x", "w", "b"], "fc", {"transB": 1}), ("Relu", ["fc"], "y", {})], weights)


def multilayer() -> bytes:
    random = np.random.default_rng(1)
    weights = {"u": random.normal(size=(6, 8)) / 4, "v": random.normal(size=(8, 3)) / 4, "c": random.normal(size=3)}
    nodes = [
        ("MatMul", ["x", "u"], "a", {}),
        ("Relu", ["a"], "b", {}),
        ("MatMul", ["b", "v"], "d", {}),
        ("Add", ["d", "c"], "y", {}),
    ]
    return chain([1, 6], nodes, weights)


def residual() -> bytes:
    random = np.random.default_rng(2)
    weights = {"u": random.normal(size=(6, 6)) / 4, "half": np.array(0.5)}
    nodes = [
        ("MatMul", ["x", "u"], "a", {}),
        ("Relu", ["a"], "b", {}),
        ("Add", ["b", "x"], "c", {}),
        ("Mul", ["c", "half"], "d", {}),
        ("Concat", ["d", "x"], "e", {"axis": 1}),
        ("Sub", ["e", "e"], "f", {}),
        ("Concat", ["f", "c"], "y", {"axis": 1}),
    ]
    return chain([1, 6], nodes, weights)


def convolution(pads: int = 0, stride: int = 1, groups: int = 1, pool: str = "MaxPool") -> bytes:
    random = np.random.default_rng(3)
    weights = {"w": random.normal(size=(4, 2 // groups, 3, 3)) / 3, "b": random.normal(size=4)}
    attributes = {**CONV, "kernel_shape": [3, 3], "pads": [pads] * 4, "strides": [stride] * 2, "group": groups}
    nodes = [("Conv", ["x", "w", "b"], "conv", attributes), ("Relu", ["conv"], "relu", {})]
    if pool == "GlobalAveragePool":
        nodes.append((pool, ["relu"], "y", {}))
    elif pool:
        nodes.append((pool, ["relu"], "y", {"kernel_shape": [2, 2], "strides": [2, 2]}))
    return chain([1, 2, 8, 8], nodes, weights)


def run(model: bytes, x: np.ndarray) -> np.ndarray:
    """By onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.astype(np.float32)})[0]


def feed_forward(width: int = 8, hidden: int = 16, between: str = "") -> bytes:
    """Linear, Gelu written out, Linear, residual, LayerNormalization."""
    random = np.random.default_rng(4)
    weights = {
        "up.w": random.normal(size=(width, hidden)) / np.sqrt(width),
        "up.b": random.normal(size=hidden) / 4,
        "down.w": random.normal(size=(hidden, width)) / np.sqrt(hidden),
        "down.b": random.normal(size=width) / 4,
        "gain": random.normal(1, 0.1, width),
        "shift": random.normal(size=width) / 4,
        "root": np.array(np.sqrt(2)),
        "one": np.array(1.0),
        "half": np.array(0.5),
    }
    nodes = [
        ("MatMul", ["x", "up.w"], "up", {}),
        ("Add", ["up", "up.b"], "h", {}),
        ("Div", ["h", "root"], "s", {}),
        ("Erf", ["s"], "e", {}),
        ("Add", ["e", "one"], "r", {}),
        ("Mul", ["h", "r"], "m", {}),
        ("Mul", ["m", "half"], "g", {}),
        *([(between, ["g"], "between", {})] if between else []),
        ("MatMul", ["between" if between else "g", "down.w"], "down", {}),
        ("Add", ["down", "down.b"], "f", {}),
        ("Add", ["f", "x"], "z", {}),
        ("LayerNormalization", ["z", "gain", "shift"], "y", {"epsilon": 1e-12}),
    ]
    return chain([1, width], nodes, weights, "block")
