"""Control flow in the graph: a body is one literal that says what it captures and what it costs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

import partwise.ir as ir
from partwise.errors import PartwiseError
from partwise.frontends.onnx.attributes import attribute_argument, deterministic
from partwise.frontends.onnx.bodies import body_attributes, captures
from partwise.frontends.onnx.infer import body_specs
from partwise.frontends.onnx.size_text import SizeText
from partwise.frontends.onnx.symbols import Sizes
from partwise.ir.operators import Call
from partwise.onnx_values import op_name

__all__ = ["body_argument", "trips"]


def body_argument(body: Any, typed: Any, outer: Mapping[str, ir.TensorSpec], sizes: Sizes) -> ir.Argument:
    """(("graph",), captured values, multiply-accumulates, ONNX bytes) of one body.

    Args:
        body: a `GraphProto`.
        typed: the same with inferred types.
        outer: specifications of the values around it.
        sizes: the symbols of the model.
    """
    body.ClearField("doc_string")
    del body.value_info[:]
    macs = _macs(typed, {**outer, **body_specs(typed, sizes)}, sizes)
    captured = tuple(ir.Ref(name) for name in captures(body))
    return (("graph",), captured, macs, base64.b64encode(deterministic(body)).decode())


def trips(node: Any, literals: Mapping[str, Any], specs: Mapping[str, ir.TensorSpec]) -> ir.Argument:
    """How often a Loop or Scan runs its body, where the graph says so; None for other nodes and unknown counts."""
    if node.op_type == "Loop" and node.input and node.input[0] in literals:
        onnx = _numpy_helper()
        return max(0, int(onnx.to_array(literals[node.input[0]]).reshape(-1)[0]))
    if node.op_type == "Scan":
        attributes = {attribute.name: attribute for attribute in node.attribute}
        scanned = node.input[len(node.input) - attributes["num_scan_inputs"].i]
        axes = attributes["scan_input_axes"].ints if "scan_input_axes" in attributes else [0]
        shape = specs[scanned].shape if scanned in specs else None
        length = shape[axes[0]] if shape else None
        return ir.Sym(length) if isinstance(length, str) else length
    return None


def _macs(graph: Any, specs: Mapping[str, ir.TensorSpec], sizes: Sizes) -> ir.Argument:
    """Multiply-accumulates of one pass: an int, or an expression over the symbols. Unknown sizes count as nothing."""
    total: Any = 0
    for node in graph.node:
        row = ir.operator(op_name(node.domain, node.op_type), f"node `{node.name}` in a body")
        if row.macs is not None:
            total = total + _node_macs(node, row, specs, sizes)
    if isinstance(total, SizeText):
        return ir.Sym(str(total))
    return cast(int, total)


def _node_macs(node: Any, row: ir.Operator, specs: Mapping[str, ir.TensorSpec], sizes: Sizes) -> Any:
    kwargs = {a.name: attribute_argument(a, node.name) for a in node.attribute if not a.HasField("g")}
    for name, body in body_attributes(node):
        kwargs[name] = (("graph",), (), _macs(body, {**specs, **body_specs(body, sizes)}, sizes))
    call = ir.Node(
        op=row.name,
        args=tuple(ir.Ref(name) if name in specs else None for name in node.input),
        kwargs=tuple(sorted(kwargs.items())),
        outputs=tuple(name for name in node.output if name),
    )
    assert row.macs is not None
    try:
        return row.macs(Call(call, specs, cast(Any, {name: SizeText(name) for name in sizes.symbols})))
    except (KeyError, IndexError, TypeError, ValueError, PartwiseError):
        return 0  # a size that inference does not know


def _numpy_helper() -> Any:
    from partwise.extras import require

    return require("onnx").numpy_helper
