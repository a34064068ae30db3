"""A function of one integer as a table: the pair (index, value) must be one of its rows, so the index is bounded.

Drawn as a Gather of a constant by a computed index; the prover proves it by a look-up among the table's rows, and an
index that there is no row for cannot be proved. Source: ezkl 23.0.5, `layouts::gather`, `dynamic_lookup`.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from partwise.verification.zk.circuits.drawing import Value, integers
from partwise.verification.zk.circuits.step import Sheet

__all__ = ["MOST_ROWS", "looked_up"]

MOST_ROWS = 1000
"""Of a table: fewer than the 1,017 that a column of 2^10 rows holds."""
_INT64 = 7
"""ONNX's number of int64."""


def looked_up(sheet: Sheet, index: Value, table: NDArray[np.float64], bits: int) -> Value:
    """The table's entry for each element.

    Args:
        sheet: that is drawn on.
        index: integers; those that are no row of the table cannot be proved.
        table: real values.
        bits: binary digits of the table's integers after the point.
    """
    drawing = sheet.drawing
    flat = drawing.reshape(index, (prod(index.shape),))
    row = drawing.node("Cast", [flat.name], to=_INT64)
    found = drawing.node("Gather", [drawing.constant(integers(table, bits)), row], axis=0)
    return drawing.reshape(Value(found, flat.shape, bits), index.shape)
