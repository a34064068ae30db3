"""Small models to prove, with seeded weights, as ONNX; their slices by the usual recipe and by named values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.utils import Extractor

__all__ = ["MODELS", "Network", "per_weighted_layer", "segments"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Network:
    """A model under construction: one value in, one out, named `x` and after its layers."""

    nodes: list[onnx.NodeProto]
    held: list[onnx.TensorProto]
    shape: tuple[int, ...]
    random: np.random.Generator

    @property
    def last(self) -> str:
        return self.nodes[-1].output[0] if self.nodes else "x"

    def add(self, op: str, name: str, weights: Sequence[Floats] = (), **attributes: object) -> None:
        names = [f"{name}.{place}" for place in range(len(weights))]
        self.held.extend(numpy_helper.from_array(w, n) for n, w in zip(names, weights, strict=True))
        self.nodes.append(helper.make_node(op, [self.last, *names], [name], name=name, **attributes))

    def weights(self, *shape: int) -> tuple[Floats, Floats]:
        """Uniform within 1/√fan-in, torch's default for linear and convolution layers."""
        limit = 1 / np.sqrt(np.prod(shape[1:]))
        return (
            self.random.uniform(-limit, limit, shape).astype(np.float32),
            self.random.uniform(-limit, limit, shape[0]).astype(np.float32),
        )

    def linear(self, name: str, inputs: int, outputs: int) -> None:
        self.add("Gemm", name, self.weights(outputs, inputs), transB=1)

    def conv(self, name: str, inputs: int, outputs: int, kernel: int) -> None:
        """Convolution, Relu, 2×2 maximum: explicit attributes, as ezkl wants them."""
        attributes = {"kernel_shape": [kernel] * 2, "strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "group": 1}
        self.add("Conv", name, self.weights(outputs, inputs, kernel, kernel), **attributes)
        self.add("Relu", f"{name}_relu")
        self.add("MaxPool", f"{name}_pool", kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)

    def model(self) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, self.shape)
        y = helper.make_tensor_value_info(self.last, onnx.TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "segment", [x], [y], self.held)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return onnx.shape_inference.infer_shapes(made)


def _started(*shape: int) -> Network:
    return Network([], [], shape, np.random.default_rng(0))


def mlp() -> onnx.ModelProto:
    """64-64-64-64-10."""
    net = _started(1, 64)
    for name, width in zip(("fc1", "fc2", "fc3"), (64, 64, 64), strict=True):
        net.linear(name, 64, width)
        net.add("Relu", f"{name}_relu")
    net.linear("fc4", 64, 10)
    return net.model()


def lenet_mini() -> onnx.ModelProto:
    """14×14, convolutions of 4 and 8 channels with 3×3 kernels, linear 32-32-10."""
    net = _started(1, 1, 14, 14)
    net.conv("conv1", 1, 4, 3)
    net.conv("conv2", 4, 8, 3)
    _classifier(net, (32, 32, 10))
    return net.model()


def lenet5() -> onnx.ModelProto:
    """28×28, convolutions of 6 and 16 channels with 5×5 kernels, linear 256-120-84-10."""
    net = _started(1, 1, 28, 28)
    net.conv("conv1", 1, 6, 5)
    net.conv("conv2", 6, 16, 5)
    _classifier(net, (256, 120, 84, 10))
    return net.model()


def _classifier(net: Network, widths: Sequence[int]) -> None:
    net.add("Flatten", "flat", axis=1)
    for number, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        net.linear(f"fc{number}", inputs, outputs)
        if number < len(widths) - 1:
            net.add("Relu", f"fc{number}_relu")


MODELS = {"mlp": mlp, "lenet-mini": lenet_mini, "lenet5": lenet5}


def per_weighted_layer(model: onnx.ModelProto) -> list[onnx.ModelProto]:
    """The usual recipe: a cut before every node that holds weights."""
    held = {tensor.name for tensor in model.graph.initializer}
    first = [node for node in model.graph.node if held & set(node.input)][1:]
    return segments(model, [(node.input[0],) for node in first])


def segments(model: onnx.ModelProto, cuts: Sequence[tuple[str, ...]]) -> list[onnx.ModelProto]:
    """Parts of a graph in order, each given by what it makes; the last one makes the model's output.

    A part computes what it needs from the model's inputs and from what the parts before it made.
    """
    made, found = {value.name for value in model.graph.input}, list[onnx.ModelProto]()
    extractor = Extractor(model)
    for outputs in (*cuts, tuple(value.name for value in model.graph.output)):
        found.append(extractor.extract_model(_needs(model, outputs, made), list(outputs)))
        made |= set(outputs)
    return found


def _needs(model: onnx.ModelProto, outputs: Sequence[str], made: set[str]) -> list[str]:
    maker = {name: node for node in model.graph.node for name in node.output}
    found, todo = dict[str, None](), list(outputs)
    while todo:
        for name in maker[todo.pop()].input:
            if name in made:
                found[name] = None
            elif name in maker:
                todo.append(name)
    return list(found)
