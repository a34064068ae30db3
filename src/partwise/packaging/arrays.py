"""Arrays as bytes and back: the layout travels as the order of dims by stride."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from math import prod

import ml_dtypes
import numpy as np

from partwise.digest import canonical_json
from partwise.ir import DType

__all__ = [
    "ALIGNMENT", "aligned_bytes", "aligned_empty", "dense", "from_bytes", "is_possible", "numpy_dtype", "own",
    "stride_order", "tensor_digest", "view_bytes",
]  # fmt: skip

ALIGNMENT = 64
"""Bytes. An address off a cache line changes which path a kernel takes, and so the last bits of its result
(measured: docs/capture.md)."""
_MOST_DIMS, _MOST_ELEMENTS = 64, 1 << 56
"""numpy's own limits, the second for elements of up to 64 bytes; it counts a dim of size 0 as one of size 1."""


def is_possible(shape: Iterable[int]) -> bool:
    """Whether an array can have this shape; one without elements may lie as well: [0, 2^62, 2^62] is none."""
    sizes = tuple(shape)
    return len(sizes) <= _MOST_DIMS and min(sizes, default=0) >= 0 and prod(max(n, 1) for n in sizes) <= _MOST_ELEMENTS


@cache
def numpy_dtype(dtype: DType) -> np.dtype[np.generic]:
    """numpy's or ml_dtypes' type of the same name. int4 and uint4 take a byte an element, as ml_dtypes has them."""
    return np.dtype(getattr(ml_dtypes, dtype.value, dtype.value))


def stride_order(array: np.ndarray) -> tuple[int, ...]:
    """Dims from the largest stride to the smallest; dims of size 1, whose strides mean nothing, keep their place."""
    order = sorted(range(array.ndim), key=lambda dim: -abs(array.strides[dim]))
    real = iter(dim for dim in order if array.shape[dim] != 1)
    return tuple(dim if array.shape[dim] == 1 else next(real) for dim in range(array.ndim))


def dense(array: np.ndarray) -> np.ndarray:
    """The elements in memory order, without gaps, as a C-contiguous array of the permuted shape."""
    return np.ascontiguousarray(array.transpose(stride_order(array)))


def aligned_bytes(size: int) -> np.ndarray:
    """Uninitialized bytes of our own on a 64-byte boundary: uint8, [size]."""
    raw = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[np.generic], order: tuple[int, ...]) -> np.ndarray:
    """Uninitialized memory of our own on a 64-byte boundary, laid out by `order`."""
    return _view(aligned_bytes(prod(shape) * dtype.itemsize), dtype, shape, order)


def own(array: np.ndarray) -> np.ndarray:
    """The array, or a dense copy on a 64-byte boundary where it has gaps or lies off one; its layout is kept."""
    order = stride_order(array)
    if array.transpose(order).flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0:
        return array
    owned = aligned_empty(array.shape, array.dtype, order)
    owned[...] = array
    return owned


def view_bytes(data: np.ndarray, dtype: DType, shape: tuple[int, ...], order: tuple[int, ...]) -> np.ndarray:
    """Bytes in memory order (uint8, [bytes]) seen as an array; nothing is copied."""
    return _view(data, numpy_dtype(dtype), shape, order)


def from_bytes(data: bytes | memoryview, dtype: DType, shape: tuple[int, ...], order: tuple[int, ...]) -> np.ndarray:
    """An array of our own, aligned, from bytes in memory order."""
    owned = aligned_bytes(len(data))
    owned[...] = np.frombuffer(data, dtype=np.uint8)
    return view_bytes(owned, dtype, shape, order)


def tensor_digest(array: np.ndarray) -> str:
    """`sha256:<hex>` of a value: canonical JSON of its dtype and shape, a newline, its bytes in C order.

    The layout is no part of it: two arrays with equal elements have equal digests; a NaN counts by its bits.
    """
    head = canonical_json({"dtype": array.dtype.name, "shape": [int(size) for size in array.shape]})
    state = hashlib.sha256(head + b"\n")
    state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return "sha256:" + state.hexdigest()


def _view(data: np.ndarray, dtype: np.dtype[np.generic], shape: tuple[int, ...], order: tuple[int, ...]) -> np.ndarray:
    permuted = tuple(shape[dim] for dim in order)
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return data.view(dtype).reshape(permuted).transpose(inverse)
