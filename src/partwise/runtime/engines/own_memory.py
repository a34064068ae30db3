"""Inputs as a compiled engine reads them: in C order on a 64-byte boundary, copied only where they are not."""

from __future__ import annotations

import numpy as np

from partwise.packaging.arrays import ALIGNMENT, aligned_empty

__all__ = ["own_in_order"]


def own_in_order(array: np.ndarray) -> np.ndarray:
    """The array, or a copy in C order on a 64-byte boundary where it is neither."""
    if array.flags.c_contiguous and array.__array_interface__["data"][0] % ALIGNMENT == 0:
        return array
    owned = aligned_empty(array.shape, array.dtype, tuple(range(array.ndim)))
    owned[...] = array
    return owned
