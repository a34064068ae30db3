"""Walk a model's nodes and draw each one as cheaply as a circuit allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import ModelError, UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.division import rounded
from partwise.verification.zk.circuits.drawing import Circuit, CircuitPort, Value
from partwise.verification.zk.circuits.fuse import fuse_gelu
from partwise.verification.zk.circuits.fuse_norm import fuse_norm
from partwise.verification.zk.circuits.gelu import GELU
from partwise.verification.zk.circuits.movement import MOVEMENT
from partwise.verification.zk.circuits.norm import NORM
from partwise.verification.zk.circuits.order import pool_first
from partwise.verification.zk.circuits.pointwise import POINTWISE
from partwise.verification.zk.circuits.pooling import POOLING
from partwise.verification.zk.circuits.products import PRODUCTS
from partwise.verification.zk.circuits.step import Precision, Rule, Sheet, Step

__all__ = ["Drawn", "draw", "lower"]

RULES: dict[str, Rule] = {**PRODUCTS, **POOLING, **POINTWISE, **MOVEMENT, **GELU, **NORM}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What one node of the model became, or several that were fused into it."""

    source: str
    """Its output in the model."""
    value: str
    """The same in the drawing."""
    nodes: tuple[str, ...]
    """Of the drawing; none for a node that only moves values."""


def lower(
    model: bytes,
    *,
    weight_bits: Mapping[str, int] | int = 7,
    input_bits: Mapping[str, int] | int = 7,
    output_bits: int | None = None,
    precision: Precision | None = None,
    shifts: bool = False,
) -> Circuit:
    """A model in integer mode: every value an integer.

    Weights become round(w · 2^weight_bits); each product adds their binary digits to a value's own, and the prover
    runs at scale 0. The only errors are those of the weights and of the inputs, and where there are such of Gelu's
    table and of a normalization's root; what is divided there is divided exactly (`division`).

    Args:
        model: ONNX with static shapes and float weights.
        weight_bits: binary digits of weights after the point, one for all or each node's by its name.
        input_bits: the same of the inputs, one for all or each by its name.
        output_bits: the same of the outputs, which are rounded to them (halves up); None leaves them as they come.
        precision: of tables and normalizations.
        shifts: whether the prover can shift integers; ezkl cannot, its divisions are drawn at length.

    Raises:
        ModelError: a shape that is not known.
        UnsupportedOpError: an operator that integers cannot compute exactly.
    """
    circuit, _ = draw(
        model,
        weight_bits=weight_bits,
        input_bits=input_bits,
        output_bits=output_bits,
        precision=precision,
        shifts=shifts,
    )
    return circuit


def draw(
    model: bytes,
    *,
    weight_bits: Mapping[str, int] | int,
    input_bits: Mapping[str, int] | int,
    output_bits: int | None = None,
    precision: Precision | None = None,
    shifts: bool = False,
) -> tuple[Circuit, tuple[Drawn, ...]]:
    """As `lower`, and what became of each node that is left after fusing, in an order in which they can be computed."""
    proto = _inferred(model)
    constants = _constants(proto.graph)
    fuse_gelu(proto.graph, constants)
    fuse_norm(proto.graph, constants)
    sheet = Sheet(
        digits=weight_bits,
        constants=constants,
        shapes=_shapes(proto.graph),
        precision=precision or Precision(),
        shifts=shifts,
    )
    ports = list[CircuitPort]()
    for value in proto.graph.input:
        if value.name in constants:
            continue
        bits = input_bits if isinstance(input_bits, int) else input_bits[value.name]
        ports.append(CircuitPort(name=value.name, shape=sheet.shape(value.name), bits=bits))
        sheet.values[value.name] = Value(value.name, ports[-1].shape, bits)
    drawn = [_draw(sheet, node) for node in proto.graph.node if node.op_type != "Constant"]
    made = [(output.name, sheet.value(output.name)) for output in proto.graph.output]
    outputs = [(name, value if output_bits is None else rounded(sheet, value, output_bits)) for name, value in made]
    return sheet.drawing.finish(ports, outputs, proto.graph.name or "segment"), tuple(drawn)


def _draw(sheet: Sheet, node: Any) -> Drawn:
    onnx = require("onnx")
    rule = RULES.get(node.op_type)
    if rule is None or node.domain not in ("", "ai.onnx"):
        raise UnsupportedOpError(
            f"node `{node.name or node.output[0]}`",
            f"{node.op_type} is not exact on integers",
            expected=", ".join(sorted(RULES)),
            hint="prove its segment with the prover's own scales",
        )
    attributes = {a.name: _plain(onnx.helper.get_attribute_value(a)) for a in node.attribute}
    step = Step(
        name=node.name or node.output[0],
        op=node.op_type,
        inputs=tuple(node.input),
        output=node.output[0],
        attributes=attributes,
    )
    sheet.enter(step)
    before = len(sheet.drawing.names)
    made = rule(sheet, step)
    value = sheet.values[step.output] = sheet.drawing.reshape(made, sheet.shape(step.output))
    return Drawn(source=step.output, value=value.name, nodes=sheet.drawing.names[before:])


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _inferred(model: bytes) -> Any:
    onnx = require("onnx")
    try:
        proto = onnx.load_from_string(model)
        pool_first(proto.graph)
        return onnx.shape_inference.infer_shapes(proto, data_prop=True)
    except Exception as error:  # noqa: BLE001 - onnx raises what its C++ raises
        raise ModelError("model", f"is no ONNX model: {error}") from None


def _constants(graph: Any) -> dict[str, NDArray[Any]]:
    onnx = require("onnx")
    found = {held.name: onnx.numpy_helper.to_array(held) for held in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            value = onnx.helper.get_attribute_value(node.attribute[0])
            is_tensor = isinstance(value, onnx.TensorProto)
            found[node.output[0]] = onnx.numpy_helper.to_array(value) if is_tensor else np.asarray(value)
    return found


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found
