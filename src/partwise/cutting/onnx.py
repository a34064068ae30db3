"""One part of an ONNX graph as an ONNX model: nodes, literals and interface; weights are named, not held.

The file is written from the graph alone, so what was planned is what runs. Every weight is an initializer with
external data at no real place: the engine gives its bytes by name, and a plain reader says that they are missing.
"""

from __future__ import annotations

import base64
from typing import Any

import partwise.ir as ir
from partwise.cutting.onnx_attributes import attribute
from partwise.extras import require
from partwise.onnx_values import element_type, op_domain

__all__ = ["WEIGHTS_LOCATION", "encode_onnx"]

WEIGHTS_LOCATION = "partwise-weights"
"""Stands where ONNX wants a file's name."""
_PRODUCER = "partwise"
_LEAST_IR_VERSION = 4  # the first in which a weight need not be an input too
_EXTERNAL = 1  # TensorProto.EXTERNAL


def encode_onnx(graph: ir.Graph, part: ir.Part, name: str) -> bytes:
    """The ONNX file of one part: equal parts, equal bytes.

    Args:
        graph: the whole, of format ONNX.
        part: what `divide` made.
        name: the segment's name.
    """
    onnx = require("onnx")
    settings = dict(graph.settings)
    constants = {constant.tensor: constant for constant in graph.constants}
    held = [_literal(graph, constants[n]) if n in constants else _weight(graph, n) for n in part.weights]
    body = onnx.helper.make_graph(
        [_node(graph.nodes[index]) for index in part.nodes],
        name,
        [_value(graph, tensor) for tensor in part.inputs],
        [_value(graph, tensor) for tensor in part.outputs],
        initializer=held,
    )
    version = max(int(settings.get("ir_version") or 0), _LEAST_IR_VERSION)
    model = onnx.helper.make_model(body, opset_imports=_opsets(graph), ir_version=version, producer_name=_PRODUCER)
    if machine := settings.get("machine"):
        onnx.helper.set_model_props(model, {"partwise.machine": str(machine)})
    return model.SerializeToString(deterministic=True)


def _opsets(graph: ir.Graph) -> list[Any]:
    onnx = require("onnx")
    versions = ((name.removeprefix("opset."), value) for name, value in graph.settings if name.startswith("opset."))
    return [onnx.helper.make_opsetid(op_domain(f"{domain}.x")[0], version) for domain, version in versions]


def _node(node: ir.Node) -> Any:
    onnx = require("onnx")
    domain, op_type = op_domain(node.op)
    inputs = [argument.name if isinstance(argument, ir.Ref) else "" for argument in node.args]
    proto = onnx.helper.make_node(op_type, inputs, _outputs(node), name=node.name, domain=domain)
    # Names with @ are what the capture found out; ONNX has no such attributes.
    proto.attribute.extend(attribute(key, value) for key, value in node.kwargs if not key.startswith("@"))
    return proto


def _outputs(node: ir.Node) -> list[str]:
    """All outputs, the left-out ones as empty names in their places."""
    places = node.keyword("@outputs")
    if not isinstance(places, tuple):
        return list(node.outputs)
    names = dict(zip(places, node.outputs, strict=True))
    return [names.get(place, "") for place in range(max(int(str(p)) for p in places) + 1)]


def _value(graph: ir.Graph, name: str) -> Any:
    """A value's type; a size that is no single symbol stays open, since ONNX only compares its text."""
    onnx = require("onnx")
    spec, symbols = graph.spec[name], graph.hints
    dims = None if spec.shape is None else [d if isinstance(d, int) or d in symbols else None for d in spec.shape]
    return onnx.helper.make_tensor_value_info(name, element_type(spec.dtype), dims)


def _literal(graph: ir.Graph, constant: ir.Constant) -> Any:
    spec = graph.spec[constant.tensor]
    proto = require("onnx").TensorProto(name=constant.tensor, data_type=element_type(spec.dtype), dims=spec.shape)
    proto.raw_data = base64.b64decode(constant.data)
    return proto


def _weight(graph: ir.Graph, name: str) -> Any:
    spec = graph.spec[name]
    onnx = require("onnx")
    proto = onnx.TensorProto(name=name, data_type=element_type(spec.dtype), dims=spec.shape, data_location=_EXTERNAL)
    proto.external_data.add(key="location", value=WEIGHTS_LOCATION)
    return proto
