"""Operators that are a copy or a view by their arguments, as operators that are always one of the two.

A cut must know which memory a value looks at, so neither kind may stand under one name in a graph. `contiguous`,
`reshape` and `to` are resolved by torch's own decomposition; these are left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["definite"]

Arguments = tuple[str, Sequence[Any], Mapping[str, Any]]


def definite(target: str, args: Sequence[Any], kwargs: Mapping[str, Any], value: Any) -> Arguments:
    """The call to store for a call of torch: (operator, arguments, keywords).

    Args:
        target: the operator's full name.
        args: its positional arguments.
        kwargs: its keyword arguments.
        value: the fake tensor that it gives.
    """
    if target == "aten.type_as.default":
        return "aten._to_copy.default", args[:1], {"dtype": value.dtype}
    if target == "aten.einsum.default" and len(args[1]) == 1:
        before, _, after = args[0].replace(" ", "").partition("->")
        if len(set(before)) == len(before) and sorted(before) == sorted(after):
            return "aten.permute.default", (args[1][0], [before.index(label) for label in after]), {}
    return target, args, kwargs
