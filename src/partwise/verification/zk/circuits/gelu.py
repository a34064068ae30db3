"""Gelu by a table of what it lacks to Relu: gelu(x) = relu(x) − gap(|x|), gap(t) = t · Φ(−t).

The gap is even, at most 0.17 and below 2e-4 beyond 3.9, so that a short table serves every x: |x| is rounded down to
a table's digits, what is larger than its last row takes the last row. Relu itself keeps all digits.
Source of Gelu: Hendrycks and Gimpel 2016, arXiv 1606.08415, equation 1; of the gap: Φ(x) = 1 − Φ(−x) in it.
"""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from partwise.verification.zk.circuits.division import floored
from partwise.verification.zk.circuits.drawing import Value
from partwise.verification.zk.circuits.step import Rule, Sheet, Step
from partwise.verification.zk.circuits.tables import MOST_ROWS, looked_up

__all__ = ["GELU", "gap_table"]

_HALF, _ROOT = 0.5, sqrt(2)


def gap_table(bits: int, rows: int = MOST_ROWS) -> NDArray[np.float64]:
    """t · Φ(−t) in the middle of each step of 2^-bits; the last row half of what the gap is there, since it goes on."""
    middles = (np.arange(rows) + _HALF) / 2.0**bits
    gap = np.array([t * erfc(t / _ROOT) / 2 for t in middles])
    gap[-1] /= 2
    return gap


def _gelu(sheet: Sheet, step: Step) -> Value:
    if step.attributes.get("approximate", "none") != "none":
        raise step.refuse("is the approximation by tanh", "export it exactly, by Erf")
    digits = sheet.precision.table_bits
    value = sheet.value(step.inputs[0])
    assert value.bits is not None
    value = sheet.raised(value, max(value.bits, digits))
    drawing, bits = sheet.drawing, value.bits or 0
    above = drawing.node("Relu", [value.name])
    size = drawing.node("Sub", [drawing.node("Add", [above, above]), value.name])
    index = floored(sheet, Value(size, value.shape, bits), bits - digits)
    last = drawing.constant(np.array([float(MOST_ROWS - 1)]))
    left = drawing.node("Relu", [drawing.node("Sub", [last, index.name])])
    row = Value(drawing.node("Sub", [last, left]), value.shape, 0)
    gap = looked_up(sheet, row, gap_table(digits), bits)
    return Value(drawing.node("Sub", [above, gap.name]), value.shape, bits)


GELU: dict[str, Rule] = {"Gelu": _gelu}
