"""Channels as the model has them, where the optimizer rounded them up to the CPU's block.

In the layout of level `all` a convolution with 24 outputs has 32, eight of them nothing. The bytes are real, the
multiply-accumulates are not the model's; so each such node gets its own channels as `@channels`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import partwise.ir as ir

__all__ = ["known_channels", "name_channels"]

_BLOCKED_CONV = "com.microsoft.nchwc.Conv"
_REORDER_OUTPUT = "com.microsoft.nchwc.ReorderOutput"
_NODE_NAME = re.compile(r"(.*)_nchwc(_token_\d+)?")
"""onnxruntime names the node after the value that the convolution made before it changed the layout."""


def known_channels(values: Iterable[Any]) -> dict[str, int]:
    """Second dim of each value of the original model that has one, from its inferred `ValueInfoProto`s."""
    found = dict[str, int]()
    for value in values:
        dims = value.type.tensor_type.shape.dim
        if len(dims) >= 3 and dims[1].dim_value:
            found[value.name] = int(dims[1].dim_value)
    return found


def name_channels(
    nodes: list[ir.Node], names: Mapping[str, str], specs: Mapping[str, ir.TensorSpec], original: Mapping[str, int]
) -> list[ir.Node]:
    """The same nodes, blocked convolutions with their `@channels`: (outputs, inputs of a group).

    Args:
        nodes: in topological order.
        names: the engine's name of each node, by its first output.
        specs: of all tensors, with the rounded channels.
        original: channels of the values of the model before optimization.
    """
    real = dict[str, int]()
    found = list[ir.Node]()
    for node in nodes:
        if node.op == _BLOCKED_CONV:
            made, read = _conv_channels(node, names.get(node.name, ""), specs, original, real)
            real[node.name] = made
            node = replace(node, kwargs=tuple(sorted((*node.kwargs, ("@channels", (made, read))))))
        elif node.op == "onnx.Concat" and any(name in real for name in node.inputs):
            real[node.name] = sum(real.get(name, _second(specs, name)) for name in node.inputs)
        elif node.op != _REORDER_OUTPUT and node.inputs and node.inputs[0] in real:
            real[node.name] = real[node.inputs[0]]
        found.append(node)
    return found


def _conv_channels(
    node: ir.Node,
    name: str,
    specs: Mapping[str, ir.TensorSpec],
    original: Mapping[str, int],
    real: Mapping[str, int],
) -> tuple[int, int]:
    match = _NODE_NAME.fullmatch(name)
    made = original.get(match[1] if match else "", _second(specs, node.name))
    source, weight = node.inputs[0], node.inputs[1]
    grouped = node.keyword("group", 1) != 1
    return made, _second(specs, weight) if grouped else real.get(source, _second(specs, source))


def _second(specs: Mapping[str, ir.TensorSpec], name: str) -> int:
    return cast(int, (specs[name].shape or (1, 1))[1])
