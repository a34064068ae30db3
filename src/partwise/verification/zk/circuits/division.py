"""Exact division by a power of two, out of what the prover can prove.

The prover's own division ties a quotient q to its value x by |x − q·2^s| < 2^s alone, which two neighbours fulfil.
The sign of the rest tells them apart: q − [x − q·2^s < 0] is ⌊x / 2^s⌋ for both. So nothing is left to the prover's
choice, and the integers stay exact. Source: ezkl 23.0.5, `layouts::div`; cells: docs/proof-cost.md.
"""

from __future__ import annotations

import numpy as np

from partwise.verification.zk.circuits.drawing import Value
from partwise.verification.zk.circuits.step import Sheet

__all__ = ["floored", "rounded"]

_FLOAT = 1
"""ONNX's number of float32."""


def floored(sheet: Sheet, value: Value, places: int) -> Value:
    """⌊x / 2^places⌋: so many binary digits after the point fewer."""
    assert value.bits is not None
    if places == 0:
        return value
    drawing, bits = sheet.drawing, value.bits - places
    if sheet.shifts:
        shift = drawing.constant(np.array([places], np.int64))
        return Value(drawing.node("BitShift", [value.name, shift], direction="RIGHT"), value.shape, bits)
    scaled = drawing.node("Mul", [value.name, drawing.constant(np.array([2.0 ** -(places + 1)]))])
    quotient = drawing.node("Add", [scaled, scaled])  # 2x at a scale of places + 1: the prover divides it back
    rest = drawing.node("Sub", [value.name, drawing.node("Mul", [quotient, _power(sheet, places)])])
    is_below = drawing.node("Less", [rest, drawing.constant(np.zeros(1))])
    found = drawing.node("Sub", [quotient, drawing.node("Cast", [is_below], to=_FLOAT)])
    return Value(found, value.shape, bits)


def rounded(sheet: Sheet, value: Value, bits: int) -> Value:
    """The value with so many binary digits after the point; halves up where there were more."""
    assert value.bits is not None
    spare = value.bits - bits
    if spare <= 0:
        return sheet.raised(value, bits)
    raised = sheet.drawing.node("Add", [value.name, _power(sheet, spare - 1)])
    return floored(sheet, Value(raised, value.shape, value.bits), spare)


def _power(sheet: Sheet, exponent: int) -> str:
    return sheet.drawing.constant(np.array([2.0**exponent]))
