"""Attributes of an ONNX node as literals of the graph; `cutting.onnx_attributes` is the way back.

Numbers, strings and lists stand for themselves. What a literal could not tell apart is a tuple that begins with
a tag in a tuple of its own, which no list of ONNX can: (("tensor",), dtype, shape, base64), (("graph",), captured
values, multiply-accumulates, base64), (("type",), base64), (("bytes",), base64), (("floats",),) for an empty list.
"""

from __future__ import annotations

import base64
from copy import deepcopy
from typing import Any

import partwise.ir as ir
from partwise.errors import UnsupportedOpError
from partwise.extras import require
from partwise.onnx_values import dtype_of

__all__ = ["attribute_argument", "deterministic", "tensor_data"]

_EMPTY = {6: "floats", 7: "ints", 8: "strings"}  # AttributeProto's FLOATS, INTS, STRINGS


def attribute_argument(attribute: Any, subject: str) -> ir.Argument:
    """One attribute; a body is the caller's, who knows what it captures.

    Raises:
        UnsupportedOpError: a kind of attribute that no operator of the table has.
    """
    onnx = require("onnx")
    kind = onnx.AttributeProto.AttributeType.Name(attribute.type)
    match kind:
        case "INT" | "FLOAT":
            return onnx.helper.get_attribute_value(attribute)
        case "STRING":
            return _text(attribute.s)
        case "INTS" | "FLOATS":
            return tuple(onnx.helper.get_attribute_value(attribute)) or ((_EMPTY[attribute.type],),)
        case "STRINGS":
            return tuple(_text(item) for item in attribute.strings) or ((_EMPTY[attribute.type],),)
        case "TENSOR":
            return tensor_argument(attribute.t, subject)
        case "TYPE_PROTO":
            return (("type",), _encoded(deterministic(attribute.tp)))
        case _:
            raise UnsupportedOpError(f"{subject}, attribute `{attribute.name}`", f"of kind {kind} cannot be stored")


def tensor_argument(tensor: Any, subject: str) -> ir.Argument:
    """A tensor among the attributes, text included."""
    dtype, shape = dtype_of(tensor.data_type, subject), tuple(int(size) for size in tensor.dims)
    if dtype is ir.DType.STRING:
        return (("text",), shape, *(_text(item) for item in tensor.string_data))
    return (("tensor",), dtype.value, shape, _encoded(tensor_data(tensor)))


def tensor_data(tensor: Any, folder: str = "") -> bytes:
    """Little-endian bytes of a tensor in C order, 4-bit types two a byte as ONNX packs them."""
    onnx = require("onnx")
    if tensor.data_location == 1:
        tensor = deepcopy(tensor)
        onnx.external_data_helper.load_external_data_for_tensor(tensor, folder)
    if tensor.HasField("raw_data"):
        return tensor.raw_data
    array = onnx.numpy_helper.to_array(tensor)
    if array.dtype.name in ("int4", "uint4"):
        flat = array.reshape(-1).astype("uint8") & 0xF
        flat = require("numpy").append(flat, [0] * (flat.size % 2)).astype("uint8")
        return (flat[::2] | (flat[1::2] << 4)).tobytes()
    return array.tobytes()


def deterministic(message: Any) -> bytes:
    """A protobuf message in the one form that equal messages share."""
    return message.SerializeToString(deterministic=True)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _text(data: bytes) -> ir.Argument:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return (("bytes",), _encoded(data))
