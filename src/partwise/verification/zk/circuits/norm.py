"""LayerNormalization in integers: deviations, their squares, and a reciprocal root by a table and Newton's steps.

With integers z of N elements, d = N·z − Σz and V = Σd² + ε: (z − mean) / σ = d · √N / √V, where nothing was divided.
V is taken as v · 2^m with v in [2^-10, 1); ρ = 1/√v comes from a table of v's leading digits and is made precise by
ρ ← ρ · (3 − v·ρ²) / 2, which squares its relative error. A deviation out of the table's range cannot be proved.
Source of the normalization: Ba, Kiros, Hinton 2016, arXiv 1607.06450, equation 3; of the step: Newton's method for
1/ρ² − v.

In two (`split_norm`), the reciprocal deviation 1/σ of each row crosses a boundary: 1/σ = ρ · N^1.5 · 2^(digits − m/2).
Only the circuit that makes it has the table, the one that takes it has most of the divisions.
"""

from __future__ import annotations

from math import ceil, log2, prod, sqrt

import numpy as np
from numpy.typing import NDArray

from partwise.verification.zk.circuits.division import floored, rounded
from partwise.verification.zk.circuits.drawing import Value, integers
from partwise.verification.zk.circuits.fuse_norm import INVERSE_DEVIATION, NORMALIZED
from partwise.verification.zk.circuits.step import Rule, Sheet, Step
from partwise.verification.zk.circuits.tables import looked_up

__all__ = ["NORM"]

_SQUARE_BITS = 24
"""Digits of v."""
_ROWS, _FIRST = 1024, 1
"""Steps of the table between 0 and 1, and the first that has a row: deviations between the greatest and 1/32 of it."""
_ROOT_BITS = 14
"""Digits of ρ after the point: a relative error of at most 2^-15."""
_STEP_BITS = 16
"""Digits of (3 − v·ρ²) / 2 after the point."""
_INVERSE_BITS = 18
"""Digits of 1/σ after the point where it crosses a boundary: it is at least 1/12, so its relative error is 2^-15."""
_STEPS = 3
"""Of Newton's: the table's first row is off by at most 0.19, then 5e-2, 4e-3, 2e-5."""


def _layer_norm(sheet: Sheet, step: Step) -> Value:
    value = sheet.value(step.inputs[0])
    axis, count = int(step.attributes.get("axis", -1)), value.shape[-1]
    if axis not in (-1, len(value.shape) - 1):
        raise step.refuse("normalizes several dims", "only the last one is drawn")
    bits = sheet.precision.norm_bits
    deviation = _centred(sheet, value)
    squares = _squares(sheet, deviation, step.attributes.get("epsilon", 1e-5))
    magnitude = _magnitude(count, bits, sheet.precision.deviation)
    root, places = _reciprocal_root(sheet, squares, magnitude)
    normal = sheet.drawing.node("Mul", [deviation.name, root.name])
    gain = sheet.weight(step, 1) * sqrt(count * 2 ** (magnitude % 2))  # of an odd m: √2 / 2^((m + 1) / 2)
    digits = sheet.weight_bits - round(log2(sqrt(count)))  # as precise as a weight
    return _shifted(sheet, step, Value(normal, deviation.shape, places), (gain, digits), 2)


def _inverse_deviation(sheet: Sheet, step: Step) -> Value:
    """1/σ of each row."""
    value = sheet.value(step.inputs[0])
    bits, count = sheet.precision.norm_bits, value.shape[-1]
    squares = _squares(sheet, _centred(sheet, value), step.attributes["epsilon"])
    magnitude = _magnitude(count, bits, sheet.precision.deviation)
    root, _ = _reciprocal_root(sheet, squares, magnitude)
    factor = sheet.drawing.constant(integers(np.array([count**1.5 * 2.0 ** (bits - magnitude / 2)]), _INVERSE_BITS))
    made = sheet.drawing.node("Mul", [root.name, factor])
    return rounded(sheet, Value(made, root.shape, _ROOT_BITS + _INVERSE_BITS), _INVERSE_BITS)


def _normalized(sheet: Sheet, step: Step) -> Value:
    """(x − mean) / σ · gain + shift of each row, given 1/σ: d = N·(x − mean), and the gain takes the 1/N."""
    value, inverse = sheet.value(step.inputs[0]), sheet.value(step.inputs[1])
    assert inverse.bits is not None
    deviation, count = _centred(sheet, value), value.shape[-1]
    bits = (deviation.bits or 0) + inverse.bits
    row = sheet.drawing.reshape(inverse, (deviation.shape[0], 1))
    normal = Value(sheet.drawing.node("Mul", [deviation.name, row.name]), deviation.shape, bits)
    gain, digits = sheet.weight(step, 2) / count, sheet.weight_bits + round(log2(count))
    return _shifted(sheet, step, normal, (gain, digits), 3)


def _shifted(sheet: Sheet, step: Step, value: Value, gain: tuple[NDArray[np.float64], int], place: int) -> Value:
    """Times a gain at given digits, plus the shift that stands at a place of the step's inputs; rounded."""
    drawing, digits = sheet.drawing, gain[1]
    made = drawing.node("Mul", [value.name, drawing.constant(integers(gain[0], digits).reshape(1, -1))])
    found = Value(made, value.shape, (value.bits or 0) + digits)
    if len(step.inputs) > place and step.inputs[place]:
        shift = sheet.fixed(sheet.weight(step, place).reshape(1, -1), found.bits or 0)
        found = Value(drawing.node("Add", [made, shift.name]), value.shape, found.bits)
    return rounded(sheet, found, sheet.precision.norm_bits)


def _magnitude(count: int, bits: int, deviation: float) -> int:
    """m: of the power of two above V of the greatest deviation, N³ · σ² · 2^(2·bits)."""
    return max(ceil(log2(count**3 * deviation**2) + 2 * bits), _SQUARE_BITS)


def _centred(sheet: Sheet, value: Value) -> Value:
    """d = N·z − Σz of each row, of a value rounded to a normalization's digits; it has the same digits."""
    drawing, count = sheet.drawing, value.shape[-1]
    rows = prod(value.shape[:-1])
    whole = rounded(sheet, drawing.reshape(value, (rows, count)), sheet.precision.norm_bits)
    total = drawing.node("MatMul", [whole.name, drawing.constant(np.ones((count, 1)))])
    larger = drawing.node("Mul", [whole.name, drawing.constant(np.array([float(count)]))])
    return Value(drawing.node("Sub", [larger, total]), whole.shape, whole.bits)


def _squares(sheet: Sheet, deviation: Value, epsilon: float) -> Value:
    """V = Σd² + N³·ε of each row."""
    assert deviation.bits is not None
    drawing, (rows, count) = sheet.drawing, deviation.shape
    ones = drawing.constant(np.ones((count, 1)))
    squares = drawing.node("MatMul", [drawing.node("Mul", [deviation.name, deviation.name]), ones])
    bits = 2 * deviation.bits
    least = drawing.constant(integers(np.array([epsilon * count**3]), bits))
    return Value(drawing.node("Add", [squares, least]), (rows, 1), bits)


def _reciprocal_root(sheet: Sheet, squares: Value, magnitude: int) -> tuple[Value, int]:
    """ρ of each row, and the digits of d · ρ after the point when it stands for d / √V."""
    drawing = sheet.drawing
    fraction = floored(sheet, squares, magnitude - _SQUARE_BITS)
    leading = floored(sheet, fraction, _SQUARE_BITS - round(log2(_ROWS)))
    first = drawing.constant(np.array([float(_FIRST)]))
    index = Value(drawing.node("Sub", [leading.name, first]), squares.shape, 0)
    middles = (np.arange(_FIRST, _ROWS) + 0.5) / _ROWS
    root = looked_up(sheet, index, 1 / np.sqrt(middles), _ROOT_BITS)
    for _ in range(_STEPS):
        root = _newton(sheet, fraction, root)
    return root, _ROOT_BITS + (magnitude + 1) // 2


def _newton(sheet: Sheet, fraction: Value, root: Value) -> Value:
    """ρ · (3 − v·ρ²) / 2; the half is one more digit after the point."""
    drawing, bits = sheet.drawing, _SQUARE_BITS + 2 * _ROOT_BITS
    product = drawing.node("Mul", [fraction.name, drawing.node("Mul", [root.name, root.name])])
    three = drawing.constant(np.array([3 * 2.0**bits]))
    rest = Value(drawing.node("Sub", [three, product]), root.shape, bits)
    factor = rounded(sheet, rest, _STEP_BITS)
    made = Value(drawing.node("Mul", [root.name, factor.name]), root.shape, _ROOT_BITS + _STEP_BITS + 1)
    return rounded(sheet, made, _ROOT_BITS)


NORM: dict[str, Rule] = {
    "LayerNormalization": _layer_norm,
    INVERSE_DEVIATION: _inverse_deviation,
    NORMALIZED: _normalized,
}
