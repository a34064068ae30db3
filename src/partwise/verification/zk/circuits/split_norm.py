"""A LayerNormalization in two, so that each can be a segment of its own: 1/σ of each row, and what is made with it.

Written out in ONNX's operators; `fuse_norm` finds the two again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from partwise.errors import UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.split import find_node, replaced

__all__ = ["split_norm"]

_AXES_AS_INPUT = 18
"""First operator set in which ReduceMean takes its axes as an input. Source: ONNX, Operators.md, ReduceMean."""


def split_norm(model: bytes, node: str) -> bytes:
    """A model in which one normalization is two: names end in `/root` and `/normal`.

    Args:
        model: ONNX.
        node: name, or first output, of a LayerNormalization over the last dim.

    Raises:
        InputError: no such node.
        UnsupportedOpError: it is no such normalization, or others read its mean or deviation.
    """
    onnx = require("onnx")
    proto = onnx.load_from_string(model)
    target = proto.graph.node[find_node(proto.graph, node)]
    _refuse_others(target)
    made = _Made(proto, target)
    source, epsilon = target.input[0], made.attributes.get("epsilon", 1e-5)
    centred = made.centred(source, "root")
    squares = made.add("Mul", [centred, centred], "root/squares")
    variance = made.mean(squares, "root/variance")
    raised = made.add("Add", [variance, made.constant(np.array(epsilon, np.float32), "epsilon")], "root/raised")
    root = made.add("Reciprocal", [made.add("Sqrt", [raised], "root/deviation")], "root")
    normal = made.add("Mul", [made.centred(source, "normal"), root], "normal/unscaled")
    has_shift = len(target.input) > 2 and bool(target.input[2])
    scaled = made.add("Mul", [normal, target.input[1]], "normal/scaled" if has_shift else "")
    if has_shift:
        made.add("Add", [scaled, target.input[2]], "")
    replaced(proto.graph, [target], made.nodes)
    return proto.SerializeToString(deterministic=True)


def _refuse_others(target: Any) -> None:
    onnx = require("onnx")
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in target.attribute}
    if target.op_type != "LayerNormalization" or attributes.get("axis", -1) != -1:
        raise UnsupportedOpError(f"node `{target.name}`", f"{target.op_type} is no normalization of the last dim")
    if any(target.output[1:]):
        raise UnsupportedOpError(f"node `{target.name}`", "gives its mean or deviation to others")


class _Made:
    """The nodes in the place of one."""

    def __init__(self, proto: Any, target: Any) -> None:
        self._onnx = require("onnx")
        self._proto, self._output, self._name = proto, target.output[0], target.name or target.output[0]
        self._opset = next((held.version for held in proto.opset_import if held.domain in ("", "ai.onnx")), 0)
        self.nodes = list[Any]()
        self.attributes = {a.name: self._onnx.helper.get_attribute_value(a) for a in target.attribute}

    def add(self, op: str, inputs: list[str], ending: str, **attributes: Any) -> str:
        """One node; its output. One without an ending makes what the normalization made."""
        output = f"{self._output}/{ending}" if ending else self._output
        name = f"{self._name}/{ending or 'normal/shifted'}"
        self.nodes.append(self._onnx.helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def mean(self, value: str, ending: str) -> str:
        if self._opset < _AXES_AS_INPUT:
            return self.add("ReduceMean", [value], ending, axes=[-1], keepdims=1)
        axes = self.constant(np.array([-1], np.int64), "axes")
        return self.add("ReduceMean", [value, axes], ending, keepdims=1)

    def centred(self, value: str, part: str) -> str:
        return self.add("Sub", [value, self.mean(value, f"{part}/mean")], f"{part}/centred")

    def constant(self, array: Any, ending: str) -> str:
        name = f"{self._output}/{ending}"
        if all(tensor.name != name for tensor in self._proto.graph.initializer):
            self._proto.graph.initializer.append(self._onnx.numpy_helper.from_array(array, name))
        return name
