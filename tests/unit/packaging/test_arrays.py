"""Arrays as bytes: layout survives, digests name values."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from partwise.ir import DType
from partwise.packaging.arrays import (
    ALIGNMENT,
    aligned_bytes,
    aligned_empty,
    dense,
    from_bytes,
    numpy_dtype,
    stride_order,
    tensor_digest,
)  # fmt: skip


@pytest.mark.parametrize("dtype", [d for d in DType if d not in (DType.STRING, DType.OPAQUE)])
def test_every_type_has_a_numpy_type_of_its_name(dtype: DType) -> None:
    assert numpy_dtype(dtype).name == dtype.value


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_bytes_and_order_bring_an_array_back(axes: tuple[int, ...]) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(axes)
    order = stride_order(array)
    found = from_bytes(dense(array).tobytes(), DType.FLOAT32, array.shape, order)
    assert found.tolist() == array.tolist()
    assert found.strides == array.strides
    assert found.ctypes.data % ALIGNMENT == 0


def test_dims_of_size_one_keep_their_place() -> None:
    array = np.zeros((3, 1, 4)).transpose(2, 1, 0)
    assert stride_order(array) == (2, 1, 0)
    assert stride_order(np.zeros((1, 5, 1))) == (0, 1, 2)
    assert stride_order(np.float32(1)[()].reshape(())) == ()


def test_memory_of_our_own_is_aligned() -> None:
    assert all(aligned_bytes(size).ctypes.data % ALIGNMENT == 0 for size in range(1, 200))
    array = aligned_empty((2, 3), np.dtype("float32"), (1, 0))
    assert array.shape == (2, 3)
    assert array.strides == (4, 8)


def test_a_digest_names_a_value_not_its_layout() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert tensor_digest(array) == tensor_digest(np.asfortranarray(array))
    others = [array.astype(np.float64), array.reshape(3, 2), array + 1, array.view(np.int32)]
    assert len({tensor_digest(other) for other in [array, *others]}) == 5


def test_a_digest_counts_bits() -> None:
    zeros = np.zeros(2, ml_dtypes.bfloat16)
    assert tensor_digest(zeros) != tensor_digest(-zeros)
    assert tensor_digest(np.float32(np.nan)) == tensor_digest(np.float32(np.nan))
    assert tensor_digest(np.zeros(0)) != tensor_digest(np.zeros((0, 2)))
