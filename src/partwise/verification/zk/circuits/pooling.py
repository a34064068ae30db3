"""Pooling without its own operator: MaxPool as b + Relu(a − b), averages as sums with more digits."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.verification.zk.circuits.drawing import Value, integers
from partwise.verification.zk.circuits.step import Rule, Sheet, Step
from partwise.verification.zk.circuits.windows import indices, sliding

__all__ = ["POOLING"]


def _max_pool(sheet: Sheet, step: Step) -> Value:
    places = _places(sheet, step)
    return _flat_per_channel(sheet, step, _repeated(places), largest)


def largest(sheet: Sheet, left: Value, right: Value) -> Value:
    """max(a, b) = b + Relu(a − b), exact."""
    drawing = sheet.drawing
    above = drawing.node("Relu", [drawing.node("Sub", [left.name, right.name])])
    return Value(drawing.node("Add", [right.name, above]), left.shape, left.bits)


def _average_pool(sheet: Sheet, step: Step) -> Value:
    window = _places(sheet, step)
    if (window < 0).any():
        raise step.refuse("averages over padding")
    return _averaged(sheet, _flat_per_channel(sheet, step, window, _sum), window.shape[1])


def _global_average(sheet: Sheet, step: Step) -> Value:
    value = sheet.value(step.inputs[0])
    window = np.arange(prod(value.shape[2:]), dtype=np.int64)[None]
    return _averaged(sheet, _flat_per_channel(sheet, step, window, _sum), window.shape[1])


def _averaged(sheet: Sheet, total: Value, count: int) -> Value:
    """A sum of a power of two is divided by reading it with more digits; another is multiplied by 1 / count."""
    assert total.bits is not None
    if count & (count - 1) == 0:
        return Value(total.name, total.shape, total.bits + count.bit_length() - 1)
    bits = sheet.weight_bits + count.bit_length()  # 1 / count needs them to be as precise as a weight
    factor = sheet.drawing.constant(integers(np.array([1 / count]), bits))
    return Value(sheet.drawing.node("Mul", [total.name, factor]), total.shape, total.bits + bits)


def _sum(sheet: Sheet, left: Value, right: Value) -> Value:
    return Value(sheet.drawing.node("Add", [left.name, right.name]), left.shape, left.bits)


def _places(sheet: Sheet, step: Step) -> NDArray[np.int64]:
    image, places = sheet.value(step.inputs[0]).shape[2:], sheet.shape(step.output)[2:]
    return indices(sliding(step.name, step.attributes, image, places))


def _repeated(window: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a window reaches into the padding, it reads one of its own elements again: the maximum is the same."""
    return np.where(window < 0, window.max(axis=1, keepdims=True), window)


def _flat_per_channel(sheet: Sheet, step: Step, window: NDArray[np.int64], join: Any) -> Value:
    """Join the elements of each window, a pair of gathered vectors at a time."""
    value = sheet.value(step.inputs[0])
    if value.shape[0] != 1:
        raise step.refuse(f"has a batch of {value.shape[0]}", "prove one request at a time")
    flat, pixels = sheet.drawing.reshape(value, (prod(value.shape),)), prod(value.shape[2:])
    starts = np.arange(value.shape[1], dtype=np.int64)[:, None] * pixels
    parts = [sheet.drawing.gather(flat, (starts + column[None]).reshape(-1)) for column in window.T]
    while len(parts) > 1:
        paired = [join(sheet, left, right) for left, right in zip(parts[::2], parts[1::2], strict=False)]
        parts = [*paired, *parts[len(paired) * 2 :]]
    return parts[0]


POOLING: dict[str, Rule] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average,
}
