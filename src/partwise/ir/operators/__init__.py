"""The operator table: one row an operator, with every rule that is asked of it.

In: an operator's name. Out: its row, or `UnsupportedOpError`. The table is also the allow-list: a model or
a package with an operator that has no row here is refused by name, and nothing here is a wildcard.
"""

from __future__ import annotations

from partwise.errors import UnsupportedOpError
from partwise.ir.operators.aten import ATEN
from partwise.ir.operators.onnx import ONNX, ONNX_RANDOM
from partwise.ir.operators.onnx_microsoft import MICROSOFT
from partwise.ir.operators.row import Call, Kind, Operator

__all__ = ["ONNX_RANDOM", "OPERATORS", "Call", "Kind", "Operator", "operator"]

OPERATORS: dict[str, Operator] = {row.name: row for row in (*ATEN, *ONNX, *MICROSOFT)}


def operator(name: str, where: str = "") -> Operator:
    """The row of an operator.

    Raises:
        UnsupportedOpError: there is none; the message names the operator and `where` it stands.
    """
    try:
        return OPERATORS[name]
    except KeyError:
        raise UnsupportedOpError(
            f"operator `{name}`" + (f" at {where}" if where else ""),
            "has no row in the operator table, so it is neither captured nor loaded",
            hint="add one row to partwise/ir/operators (kind, MACs, whether it is a view or cheap).",
        ) from None
