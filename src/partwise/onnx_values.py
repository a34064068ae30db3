"""ONNX's words and ours: operator names, element types, and arrays as values of onnxruntime.

Nothing is copied where numpy knows the type; bfloat16 and float8 travel as the same bits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

from partwise.errors import UnsupportedOpError
from partwise.extras import require
from partwise.ir import DType

__all__ = [
    "dtype_of",
    "element_type",
    "from_ort_value",
    "held_tensors",
    "is_plain",
    "op_domain",
    "op_name",
    "session_dtype",
    "to_ort_value",
]

_STANDARD = "onnx"
"""The standard's own domain, which ONNX writes as the empty string."""

_ELEMENT_TYPES = {
    DType.FLOAT32: (1, "float"),
    DType.UINT8: (2, "uint8"),
    DType.INT8: (3, "int8"),
    DType.UINT16: (4, "uint16"),
    DType.INT16: (5, "int16"),
    DType.INT32: (6, "int32"),
    DType.INT64: (7, "int64"),
    DType.STRING: (8, "string"),
    DType.BOOL: (9, "bool"),
    DType.FLOAT16: (10, "float16"),
    DType.FLOAT64: (11, "double"),
    DType.UINT32: (12, "uint32"),
    DType.UINT64: (13, "uint64"),
    DType.COMPLEX64: (14, "complex64"),
    DType.COMPLEX128: (15, "complex128"),
    DType.BFLOAT16: (16, "bfloat16"),
    DType.FLOAT8_E4M3FN: (17, "float8e4m3fn"),
    DType.FLOAT8_E4M3FNUZ: (18, "float8e4m3fnuz"),
    DType.FLOAT8_E5M2: (19, "float8e5m2"),
    DType.FLOAT8_E5M2FNUZ: (20, "float8e5m2fnuz"),
    DType.UINT4: (21, "uint4"),
    DType.INT4: (22, "int4"),
}
"""Ours -> (TensorProto.DataType, onnxruntime's word). Source: onnx/onnx.proto, onnx 1.23.2."""
_TENSOR, _NO_TENSORS = "onnx.TensorProto", frozenset({"onnx.TypeProto", "onnx.StringStringEntryProto"})
_BY_NUMBER = {number: dtype for dtype, (number, _) in _ELEMENT_TYPES.items()}
_BY_WORD = {word: dtype for dtype, (_, word) in _ELEMENT_TYPES.items()}
_SAME_BITS = {DType.BFLOAT16: np.uint16} | {dtype: np.uint8 for dtype in DType if dtype.value.startswith("float8")}


def held_tensors(message: Any) -> Iterator[Any]:
    """Every tensor with data within a message, wherever it stands: weights, attributes, bodies, sparse ones."""
    if message.DESCRIPTOR.full_name == _TENSOR:
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.full_name in _NO_TENSORS:
            continue
        for item in (value,) if hasattr(value, "ListFields") else value:
            yield from held_tensors(item)


def op_name(domain: str, op_type: str) -> str:
    """The operator table's name: `onnx.Conv`, `com.microsoft.FusedConv`."""
    return f"{_STANDARD if domain in ('', 'ai.onnx') else domain}.{op_type}"


def op_domain(op: str) -> tuple[str, str]:
    """The inverse of `op_name`: (domain, operator)."""
    domain, _, op_type = op.rpartition(".")
    return ("" if domain == _STANDARD else domain), op_type


def element_type(dtype: DType) -> int:
    """ONNX's number of an element type."""
    return _ELEMENT_TYPES[dtype][0]


def dtype_of(number: int, subject: str) -> DType:
    """The element type of ONNX's number.

    Raises:
        UnsupportedOpError: a type that the graph has no word for.
    """
    if number not in _BY_NUMBER:
        raise UnsupportedOpError(subject, f"has an element type that Partwise does not know (ONNX's number {number})")
    return _BY_NUMBER[number]


def session_dtype(word: str, subject: str) -> DType:
    """The element type in onnxruntime's description of a value; `OPAQUE` for a sequence, map or optional.

    Args:
        word: for example `tensor(float)`, `seq(tensor(int64))`.
        subject: what an error is about.
    """
    if not word.startswith("tensor("):
        return DType.OPAQUE
    name = word.removeprefix("tensor(").removesuffix(")")
    if name not in _BY_WORD:
        raise UnsupportedOpError(subject, f"has an element type that Partwise does not know ({name})")
    return _BY_WORD[name]


def is_plain(dtype: DType) -> bool:
    """Whether numpy has this type itself, so that arrays need no wrapping."""
    return dtype not in _SAME_BITS


def to_ort_value(array: np.ndarray) -> Any:
    """An array's memory as a value of onnxruntime; the array must outlive it.

    Args:
        array: C-contiguous.
    """
    ort = require("onnxruntime")
    dtype = DType(array.dtype.name)
    if dtype not in _SAME_BITS:
        return ort.OrtValue.ortvalue_from_numpy(array)
    bits = array.view(_SAME_BITS[dtype])
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, element_type(dtype))


def from_ort_value(value: Any) -> np.ndarray:
    """A value of onnxruntime as an array; copied only where numpy lacks the type."""
    dtype = session_dtype(value.data_type(), "output")
    if dtype not in _SAME_BITS:
        return value.numpy()
    bits = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(bytearray(bits), dtype=getattr(ml_dtypes, dtype.value)).reshape(value.shape())
