"""Fixed point and field elements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partwise.errors import InputError
from partwise.verification.zk.field import MODULUS, dequantize, element, is_element, number, quantize


@given(st.integers(-(2**100), 2**100))
def test_an_integer_survives_its_element(value: int) -> None:
    assert is_element(element(value))
    assert number(element(value)) == value


def test_only_the_one_spelling_is_an_element() -> None:
    assert is_element(element(-1))
    for text in (MODULUS.to_bytes(32, "little").hex(), element(10).upper(), element(1)[:-1], "", None, 7):
        assert is_element(text) is (text == element(10).upper() and text == element(10))


def test_halves_are_rounded_away_from_zero() -> None:
    assert quantize(np.array([0.5, -0.5, 1.5, 0.49, -2.5]), 0, "t") == (1, -1, 2, 0, -3)
    assert quantize(np.array([[0.75]], dtype=np.float32), 3, "t") == (6,)
    assert dequantize((6, -1), 3, (1, 2)).tolist() == [[0.75, -0.125]]


@pytest.mark.parametrize(
    "array", [np.array([True]), np.array([]), np.array([np.nan]), np.array([np.inf]), np.array([1e30]), np.array(["a"])]
)
def test_what_no_circuit_holds_is_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError):
        quantize(array, 7, "t")
