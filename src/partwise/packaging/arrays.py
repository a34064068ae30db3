"""Arrays as bytes and back: the layout travels as the order of dims by stride."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from partwise.ir import DType

__all__ = ["ALIGNMENT", "aligned_empty", "dense", "from_bytes", "numpy_dtype", "stride_order"]

ALIGNMENT = 64
"""Bytes. An address off a cache line changes which path a kernel takes, and so the last bits of its result
(measured: docs/capture.md)."""


def numpy_dtype(dtype: DType) -> np.dtype[np.generic]:
    """numpy's or ml_dtypes' type of the same name."""
    return np.dtype(getattr(ml_dtypes, dtype.value, dtype.value))


def stride_order(array: np.ndarray) -> tuple[int, ...]:
    """Dims from the largest stride to the smallest; dims of size 1, whose strides mean nothing, keep their place."""
    order = sorted(range(array.ndim), key=lambda dim: -abs(array.strides[dim]))
    real = iter(dim for dim in order if array.shape[dim] != 1)
    return tuple(dim if array.shape[dim] == 1 else next(real) for dim in range(array.ndim))


def dense(array: np.ndarray) -> np.ndarray:
    """The elements in memory order, without gaps, as a C-contiguous array of the permuted shape."""
    return np.ascontiguousarray(array.transpose(stride_order(array)))


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[np.generic], order: tuple[int, ...]) -> np.ndarray:
    """Uninitialized memory of our own on a 64-byte boundary, laid out by `order`."""
    permuted = tuple(shape[dim] for dim in order)
    size = int(np.prod(permuted, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(permuted).transpose(np.argsort(order))


def from_bytes(data: bytes | memoryview, dtype: DType, shape: tuple[int, ...], order: tuple[int, ...]) -> np.ndarray:
    """An array of our own, aligned, from bytes in memory order."""
    kind = numpy_dtype(dtype)
    array = aligned_empty(shape, kind, order)
    permuted = tuple(shape[dim] for dim in order)
    array.transpose(order)[...] = np.frombuffer(data, dtype=kind).reshape(permuted)
    return array
