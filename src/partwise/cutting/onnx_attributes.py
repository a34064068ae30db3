"""Literals of the graph as attributes of an ONNX node: the inverse of `frontends.onnx.attributes`."""

from __future__ import annotations

import base64
from typing import Any, cast

import partwise.ir as ir
from partwise.errors import GraphError
from partwise.extras import require
from partwise.onnx_values import element_type

__all__ = ["attribute"]


def attribute(name: str, value: ir.Argument) -> Any:
    """An `AttributeProto`.

    Raises:
        GraphError: a literal that no capture of ONNX writes.
    """
    onnx = require("onnx")
    kinds = onnx.AttributeProto.AttributeType
    match value:
        case bool() | None:
            pass
        case int():
            return onnx.AttributeProto(name=name, type=kinds.INT, i=value)
        case float():
            return onnx.AttributeProto(name=name, type=kinds.FLOAT, f=value)
        case str():
            return onnx.AttributeProto(name=name, type=kinds.STRING, s=value.encode())
        case ((str(tag),), *rest):
            return _tagged(name, tag, cast(list[Any], rest))
        case (int() | float() | str() | tuple(), *_):
            return _list(name, cast(tuple[Any, ...], value))
        case _:
            pass
    raise GraphError(f"attribute `{name}`", "is no literal of ONNX", got=repr(value)[:80])


def _list(name: str, values: tuple[Any, ...]) -> Any:
    onnx = require("onnx")
    kinds = onnx.AttributeProto.AttributeType
    if all(isinstance(value, int) for value in values):
        return onnx.AttributeProto(name=name, type=kinds.INTS, ints=values)
    if all(isinstance(value, float) for value in values):
        return onnx.AttributeProto(name=name, type=kinds.FLOATS, floats=values)
    return onnx.AttributeProto(name=name, type=kinds.STRINGS, strings=[_bytes(value) for value in values])


def _tagged(name: str, tag: str, rest: list[Any]) -> Any:
    onnx = require("onnx")
    kinds = onnx.AttributeProto.AttributeType
    match tag, rest:
        case "tensor", [str(dtype), tuple(), str(data)]:
            number = element_type(ir.DType(dtype))
            tensor = onnx.TensorProto(data_type=number, dims=rest[1], raw_data=base64.b64decode(data))
            return onnx.AttributeProto(name=name, type=kinds.TENSOR, t=tensor)
        case "text", [tuple(), *items]:
            tensor = onnx.TensorProto(data_type=element_type(ir.DType.STRING), dims=rest[0])
            tensor.string_data.extend(_bytes(item) for item in items)
            return onnx.AttributeProto(name=name, type=kinds.TENSOR, t=tensor)
        case "graph", [_, _, str(data)]:
            return onnx.AttributeProto(
                name=name, type=kinds.GRAPH, g=onnx.GraphProto.FromString(base64.b64decode(data))
            )
        case "type", [str(data)]:
            tp = onnx.TypeProto.FromString(base64.b64decode(data))
            return onnx.AttributeProto(name=name, type=kinds.TYPE_PROTO, tp=tp)
        case "bytes", [str(data)]:
            return onnx.AttributeProto(name=name, type=kinds.STRING, s=base64.b64decode(data))
        case (("ints" | "floats" | "strings"), []):
            return onnx.AttributeProto(name=name, type=kinds.Value(tag.upper()))
        case _:
            raise GraphError(f"attribute `{name}`", f"of kind `{tag}` breaks its form")


def _bytes(value: Any) -> bytes:
    """A string, or the bytes of one that is no UTF-8."""
    if isinstance(value, str):
        return value.encode()
    return base64.b64decode(value[1])
