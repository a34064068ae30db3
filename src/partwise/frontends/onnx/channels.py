"""Channels as the model has them, where the optimizer rounded them up to the CPU's block.

In the layout of level `all` a convolution with 24 outputs has 32, eight of them nothing. The bytes are real, the
multiply-accumulates are not the model's; so each such node gets its own channels as `@channels`. A scale (Mul, or
a normalization) that the optimizer wrote as a convolution of its own gets none: (0, 0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import partwise.ir as ir

__all__ = ["known_channels", "name_channels"]

_BLOCKED_CONV = "com.microsoft.nchwc.Conv"
_REORDER_OUTPUT = "com.microsoft.nchwc.ReorderOutput"
_NODE_NAME = re.compile(r"(.*)_nchwc(_token_\d+)?")
_SCALE_NAME = re.compile(r"(.*)_(bn|mul)")
"""onnxruntime names a node after the value that it made before the layout changed, a scale with what it was.
Source: core/optimizer/nchwc_transformer.cc of onnxruntime 1.31."""


def known_channels(graph: Any) -> dict[str, int]:
    """Second dim of each value that has one, in the model before optimization.

    Args:
        graph: its `GraphProto`, types inferred.
    """
    found = dict[str, int]()
    for value in (*graph.value_info, *graph.output):
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
            made, scale = _made(names.get(node.name, ""), original)
            real[node.name] = made or _second(specs, node.name)
            pair = (0, 0) if scale else (real[node.name], _read(node, specs, real))
            node = replace(node, kwargs=tuple(sorted((*node.kwargs, ("@channels", pair)))))
        elif node.op == "onnx.Concat" and any(name in real for name in node.inputs):
            real[node.name] = sum(real.get(name, _second(specs, name)) for name in node.inputs)
        elif node.op != _REORDER_OUTPUT and node.inputs and node.inputs[0] in real:
            real[node.name] = real[node.inputs[0]]
        found.append(node)
    return found


def _made(name: str, original: Mapping[str, int]) -> tuple[int | None, bool]:
    """Channels that a node of this name made in the original, None if unknown, and whether it was a mere scale."""
    match = _NODE_NAME.fullmatch(name)
    value = match[1] if match else ""
    scale = _SCALE_NAME.fullmatch(value) if value not in original else None
    return original.get(scale[1] if scale else value), scale is not None


def _read(node: ir.Node, specs: Mapping[str, ir.TensorSpec], real: Mapping[str, int]) -> int:
    """Input channels of one group. Only undivided convolutions are rounded up."""
    source, weight = node.inputs[:2]
    return _second(specs, weight) if node.keyword("group", 1) != 1 else real.get(source, _second(specs, source))


def _second(specs: Mapping[str, ir.TensorSpec], name: str) -> int:
    return cast(int, (specs[name].shape or (1, 1))[1])
