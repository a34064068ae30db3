"""What an ONNX segment from anywhere may hold: operators of the table, weights of its package, sane sizes."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import partwise.ir as ir
from partwise.errors import EngineError
from partwise.extras import require
from partwise.onnx_values import held_tensors, op_name
from partwise.packaging import Segment

__all__ = ["check_segment"]

_EXTERNAL = 1  # TensorProto.EXTERNAL
_MOST_ELEMENTS = 1 << 40
"""A tensor of more elements than this is no tensor of a model. Assumed."""


def check_segment(segment: Segment) -> str | None:
    """Check a segment's file; the kind of processor whose layout it is written in, None for any.

    Raises:
        EngineError: not ONNX, data in other files than the package's, absurd sizes.
        UnsupportedOpError: an operator without a row in the operator table.
    """
    onnx, message = require("onnx"), require("google.protobuf.message")
    try:
        model = onnx.ModelProto.FromString(segment.graph)
    except message.DecodeError:
        raise EngineError(segment.name, "is no ONNX file") from None
    if model.functions:
        raise EngineError(segment.name, "defines functions; segments hold operators alone")
    _check_weights(segment, model.graph)
    for node in _nodes(model.graph):
        ir.operator(op_name(node.domain, node.op_type), f"node `{node.name}` of {segment.name}")
    if sum(tensor.data_location == _EXTERNAL for tensor in held_tensors(model)) > len(segment.weights):
        raise EngineError(segment.name, "reads a file: a tensor that is no weight of its package lies elsewhere")
    _check_sizes(segment.name, model)
    return next((entry.value for entry in model.metadata_props if entry.key == "partwise.machine"), None)


def _check_weights(segment: Segment, graph: Any) -> None:
    outer = [tensor for tensor in graph.initializer if tensor.data_location == _EXTERNAL]
    named = {tensor.name: tensor for tensor in outer}
    inner = [t.name for g in _graphs(graph) if g is not graph for t in g.initializer if t.data_location == _EXTERNAL]
    if inner or len(named) < len(outer) or named.keys() != segment.weights.keys():
        strange = sorted(inner or (named.keys() ^ segment.weights.keys()) or named)
        raise EngineError(segment.name, "its weights are not those of its package", got=", ".join(strange)[:200])
    for name, tensor in named.items():
        if tuple(tensor.dims) != segment.weights[name].shape:
            shape = segment.weights[name].shape
            raise EngineError(
                f"{segment.name}, weight `{name}`", "has another shape", expected=list(tensor.dims), got=shape
            )


def _check_sizes(name: str, model: Any) -> None:
    """What inference knows of the sizes; onnxruntime judges a model that inference cannot read."""
    onnx = require("onnx")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if prod(dims) > _MOST_ELEMENTS:
            raise EngineError(f"{name}, `{value.name}`", "has an absurd size", got=dims)


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _graphs(inner)


def _nodes(graph: Any) -> Iterator[Any]:
    for inner in _graphs(graph):
        yield from inner.node
