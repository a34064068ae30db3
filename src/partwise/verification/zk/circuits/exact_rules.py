"""One rule an operator of a drawing, on the least and greatest value of each element.

A value is a `Pair`; where both are the same array the rules compute with exact integers, else with intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from partwise.errors import InputError

__all__ = ["RULES", "Big", "Pair", "big_integers", "divided"]

_INT64 = 2.0**62
"""Below which numpy converts by itself."""
Big = NDArray[np.object_]
"""Python integers, of any size."""
Pair = tuple[Big, Big]
"""Least and greatest value of each element."""


def big_integers(array: NDArray[Any]) -> Big:
    """The same numbers as Python's integers."""
    whole = np.asarray(array)
    if whole.dtype == object:
        return cast("Big", whole)
    if whole.size and np.abs(whole).max() < _INT64:
        return cast("Big", whole.astype(np.int64).astype(object))
    found = np.empty(whole.shape, object)
    found.reshape(-1)[:] = [int(x) for x in whole.reshape(-1)]
    return found


def divided(value: Big, places: int) -> Big:
    """x / 2^places rounded, halves away from zero. Source: ezkl 23.0.5, `const_div`, compared in test_exact.py."""
    half = 1 << (places - 1)
    return cast("Big", np.where(value >= 0, (value + half) >> places, -((half - value) >> places)))


def _times(left: Pair, right: Pair, product: Callable[[Big, Big], Big]) -> Pair:
    """Where one operand is a constant w: max over x in [l, h] of w·x is w⁺·h + w⁻·l."""
    (low, high), (weight, same) = left, right
    assert weight is same, "one operand is a constant"
    if low is high:
        exact = product(low, weight)
        return exact, exact
    plus, minus = np.maximum(weight, 0), np.minimum(weight, 0)
    return product(low, plus) + product(high, minus), product(high, plus) + product(low, minus)


def _matmul(operands: list[Pair], _: dict[str, Any]) -> Pair:
    if operands[1][0] is operands[1][1]:
        return _times(operands[0], operands[1], lambda x, w: x @ w)
    return _times(operands[1], operands[0], lambda x, w: w @ x)


def _mul(operands: list[Pair], _: dict[str, Any]) -> Pair:
    left, right = operands
    if right[0] is right[1]:
        return _times(left, right, lambda x, w: x * w)
    if left[0] is left[1]:
        return _times(right, left, lambda x, w: x * w)
    found = [one * other for one in left for other in right]
    return np.minimum.reduce(found), np.maximum.reduce(found)


def _sub(operands: list[Pair], _: dict[str, Any]) -> Pair:
    (a, b), (c, d) = operands
    if a is b and c is d:
        exact = a - c
        return exact, exact
    return a - d, b - c


def _less(operands: list[Pair], _: dict[str, Any]) -> Pair:
    (a, b), (c, d) = operands
    return big_integers(np.asarray(b < c, bool)), big_integers(np.asarray(a < d, bool))


def _each(rule: Callable[[list[Big], dict[str, Any]], Big]) -> Callable[[list[Pair], dict[str, Any]], Pair]:
    """A monotonic rule: the bounds of the result are the results of the bounds."""

    def applied(operands: list[Pair], attributes: dict[str, Any]) -> Pair:
        low = rule([low for low, _ in operands], attributes)
        if all(low is high for low, high in operands):
            return low, low
        return low, rule([high for _, high in operands], attributes)

    return applied


def _concat(operands: list[Big], attributes: dict[str, Any]) -> Big:
    return np.concatenate(operands, axis=attributes["axis"])


def _gather(operands: list[Pair], attributes: dict[str, Any]) -> Pair:
    """By constant indices; or a constant table by a computed one."""
    (low, high), (first, last) = operands
    if first is last:
        where = np.asarray(first, np.int64)
        if low is high:
            exact = low.take(where, axis=int(attributes["axis"]))
            return exact, exact
        return low.take(where, axis=int(attributes["axis"])), high.take(where, axis=int(attributes["axis"]))
    if np.array_equal(first, last):
        found = _looked_up(low, first)
        return found, found
    return np.full(first.shape, low.min(), object), np.full(first.shape, low.max(), object)


def _looked_up(table: Big, index: Big) -> Big:
    wrong = [int(i) for i in index.reshape(-1) if not 0 <= i < len(table)]
    if wrong:
        raise InputError("table", "has no such row", expected=f"0 to {len(table) - 1}", got=wrong[0],
                         hint="a normalization's deviation is out of its range.")  # fmt: skip
    return table.take(np.asarray(index, np.int64))


def _relu(operands: list[Big], _: dict[str, Any]) -> Big:
    return np.maximum(operands[0], 0)


def _reshape(operands: list[Big], _: dict[str, Any]) -> Big:
    shape = tuple(int(size) for size in operands[1])
    return cast("Big", operands[0].reshape(shape))


RULES: dict[str, Callable[[list[Pair], dict[str, Any]], Pair]] = {
    "Add": _each(lambda x, _: x[0] + x[1]),
    "BitShift": _each(lambda x, _: x[0] >> big_integers(x[1])),
    "Cast": _each(lambda x, _: x[0]),
    "Concat": _each(_concat),
    "Gather": _gather,
    "Identity": _each(lambda x, _: x[0]),
    "Less": _less,
    "MatMul": _matmul,
    "Mul": _mul,
    "Relu": _each(_relu),
    "Reshape": _each(_reshape),
    "Sub": _sub,
}
