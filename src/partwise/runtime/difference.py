"""How far two answers are from each other."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["difference"]


def difference(got: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Largest absolute difference of two arrays, and the same over the largest finite magnitude expected.

    Infinite where dtype or shape differ, or only one of two elements is a number; a NaN equals a NaN.
    """
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return math.inf, math.inf
    if got.tobytes() == expected.tobytes():
        return 0.0, 0.0
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    largest, scale = _difference(got.astype(wide), expected.astype(wide))
    return largest, largest / (scale or 1.0)


def _difference(got: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Largest difference, and largest finite magnitude expected."""
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    both = np.isfinite(got) & np.isfinite(expected)
    scale = float(np.max(np.abs(expected), where=np.isfinite(expected), initial=0.0))
    if not np.all(same | both):
        return math.inf, scale
    with np.errstate(all="ignore"):
        return float(np.max(np.abs(got - expected), where=both, initial=0.0)), scale
