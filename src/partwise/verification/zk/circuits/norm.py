"""LayerNormalization in integers: deviations, their squares, and a reciprocal root by a table and Newton's steps.

With integers z of N elements, d = N·z − Σz and V = Σd² + ε: (z − mean) / σ = d · √N / √V, where nothing was divided.
V is taken as v · 2^m with v in [2^-10, 1); ρ = 1/√v comes from a table of v's leading digits and is made precise by
ρ ← ρ · (3 − v·ρ²) / 2, which squares its relative error. A deviation out of the table's range cannot be proved.
Source of the normalization: Ba, Kiros, Hinton 2016, arXiv 1607.06450, equation 3; of the step: Newton's method for
1/ρ² − v.
"""

from __future__ import annotations

from math import ceil, log2, prod, sqrt

import numpy as np

from partwise.verification.zk.circuits.division import floored, rounded
from partwise.verification.zk.circuits.drawing import Value, integers
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
_STEPS = 3
"""Of Newton's: the table's first row is off by at most 0.19, then 5e-2, 4e-3, 2e-5."""


def _layer_norm(sheet: Sheet, step: Step) -> Value:
    value = sheet.value(step.inputs[0])
    axis, count = int(step.attributes.get("axis", -1)), value.shape[-1]
    if axis not in (-1, len(value.shape) - 1):
        raise step.refuse("normalizes several dims", "only the last one is drawn")
    bits, rows = sheet.precision.norm_bits, prod(value.shape[:-1])
    whole = rounded(sheet, sheet.drawing.reshape(value, (rows, count)), bits)
    deviation, squares = _deviations(sheet, whole, step.attributes.get("epsilon", 1e-5))
    magnitude = _magnitude(count, bits, sheet.precision.deviation)
    root, places = _reciprocal_root(sheet, squares, magnitude)
    drawing = sheet.drawing
    normal = drawing.node("Mul", [deviation.name, root.name])
    gain = sheet.weight(step, 1) * sqrt(count * 2 ** (magnitude % 2))  # of an odd m: √2 / 2^((m + 1) / 2)
    digits = sheet.weight_bits - round(log2(sqrt(count)))  # as precise as a weight
    made = drawing.node("Mul", [normal, drawing.constant(integers(gain, digits).reshape(1, -1))])
    found = Value(made, whole.shape, places + digits)
    if len(step.inputs) > 2 and step.inputs[2]:
        shift = sheet.fixed(sheet.weight(step, 2).reshape(1, -1), found.bits or 0)
        found = Value(drawing.node("Add", [made, shift.name]), whole.shape, found.bits)
    return rounded(sheet, found, bits)


def _magnitude(count: int, bits: int, deviation: float) -> int:
    """m: of the power of two above V of the greatest deviation, N³ · σ² · 2^(2·bits)."""
    return max(ceil(log2(count**3 * deviation**2) + 2 * bits), _SQUARE_BITS)


def _deviations(sheet: Sheet, value: Value, epsilon: float) -> tuple[Value, Value]:
    """d = N·z − Σz and V = Σd² + N³·ε of each row."""
    assert value.bits is not None
    drawing, (rows, count) = sheet.drawing, value.shape
    ones = drawing.constant(np.ones((count, 1)))
    total = drawing.node("MatMul", [value.name, ones])
    larger = drawing.node("Mul", [value.name, drawing.constant(np.array([float(count)]))])
    deviation = drawing.node("Sub", [larger, total])
    squares = drawing.node("MatMul", [drawing.node("Mul", [deviation, deviation]), ones])
    least = drawing.constant(integers(np.array([epsilon * count**3]), 2 * value.bits))
    bits = 2 * value.bits
    return Value(deviation, value.shape, value.bits), Value(drawing.node("Add", [squares, least]), (rows, 1), bits)


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


NORM: dict[str, Rule] = {"LayerNormalization": _layer_norm}
