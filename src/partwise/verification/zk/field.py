"""Fixed-point values as elements of the proof system's field, and back.

A value x at scale s is the integer round(x · 2^s), halves away from zero; a negative integer -n is the element
p - n. Source: p is the order of BN254's scalar field (EIP-196); the rounding is ezkl 23.0.5's `quantize_float`,
compared with it by `tests/e2e/test_proofs.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from partwise.errors import InputError

__all__ = ["MODULUS", "Values", "dequantize", "element", "is_element", "number", "quantize"]

MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617
Values = tuple[int, ...]
"""One tensor's elements in C order, as signed integers."""
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_LARGEST = 1 << 62
"""Beyond it a value is nonsense in a circuit whose integers have 64 bits. Assumed."""


def element(value: int) -> str:
    """A signed integer as 32 little-endian bytes in hex, as the prover's files hold them."""
    return (value % MODULUS).to_bytes(32, "little").hex()


def is_element(text: object) -> bool:
    """Whether something is the one spelling of a field element: 64 hex digits below the modulus."""
    return isinstance(text, str) and _HEX.match(text) is not None and _unsigned(text) < MODULUS


def number(text: str) -> int:
    """The signed integer nearest zero that an element stands for."""
    value = _unsigned(text)
    return value - MODULUS if value > MODULUS // 2 else value


def quantize(array: np.ndarray, scale: int, subject: str) -> Values:
    """A tensor as fixed-point integers.

    Args:
        array: of any shape, of floats or integers.
        scale: fixed-point bits.
        subject: what errors are about.

    Raises:
        InputError: booleans, no elements, or a value that is no finite number of 62 bits.
    """
    if array.dtype.kind not in "iuf":
        raise InputError(subject, "cannot enter a circuit", expected="numbers", got=array.dtype.name)
    if array.size == 0:
        raise InputError(subject, "is empty: a circuit has at least one value")
    if array.dtype.kind in "iu":
        return _whole(array, scale, subject)
    scaled = array.astype(np.float64).reshape(-1) * 2.0**scale
    if not np.isfinite(scaled).all() or np.abs(scaled).max() > _LARGEST:
        raise _too_large(_worst(scaled), scale, subject)
    rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    return tuple(int(value) for value in rounded)


def dequantize(values: Iterable[int], scale: int, shape: tuple[int, ...]) -> np.ndarray:
    """Fixed-point integers as float64 [shape]."""
    return (np.array([float(value) for value in values]) / 2.0**scale).reshape(shape)


def _unsigned(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), "little")


def _whole(array: np.ndarray, scale: int, subject: str) -> Values:
    """Integers as they are: float64 skips whole numbers from 2^53 on."""
    values = tuple(int(value) << scale for value in array.reshape(-1))
    worst = max(values, key=abs)
    if abs(worst) > _LARGEST:
        raise _too_large(str(worst), scale, subject)
    return values


def _too_large(worst: str, scale: int, subject: str) -> InputError:
    return InputError(subject, f"holds a value that no circuit holds at scale {scale}",
                      expected="finite numbers of 62 bits", got=worst)  # fmt: skip


def _worst(scaled: np.ndarray) -> str:
    bad = scaled[~np.isfinite(scaled)]
    return str(bad[0] if bad.size else scaled[np.abs(scaled).argmax()])
