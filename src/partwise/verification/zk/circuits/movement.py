"""Values moved, not computed: reshapes, transposes, concatenations, constant gathers and slices. No cell each."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from partwise.verification.zk.circuits.drawing import Value
from partwise.verification.zk.circuits.step import Rule, Sheet, Step

__all__ = ["MOVEMENT"]


def _same(sheet: Sheet, step: Step) -> Value:
    return sheet.value(step.inputs[0])


def _concat(sheet: Sheet, step: Step) -> Value:
    parts = [sheet.value(name) for name in step.inputs]
    bits = max(part.bits or 0 for part in parts)
    axis = int(step.attributes["axis"]) % len(parts[0].shape)
    raised = [sheet.raised(part, bits) for part in parts]
    shape: list[int] = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    return Value(sheet.drawing.node("Concat", [part.name for part in raised], axis=axis), tuple(shape), bits)


def _picked(sheet: Sheet, step: Step, places: NDArray[np.int64]) -> Value:
    """Elements of the first input by their flat places."""
    value = sheet.value(step.inputs[0])
    return sheet.drawing.gather(sheet.drawing.reshape(value, (prod(value.shape),)), places.reshape(-1))


def _numbered(sheet: Sheet, step: Step) -> NDArray[np.int64]:
    shape = sheet.value(step.inputs[0]).shape
    return np.arange(prod(shape), dtype=np.int64).reshape(shape)


def _transpose(sheet: Sheet, step: Step) -> Value:
    places = _numbered(sheet, step)
    return _picked(sheet, step, np.transpose(places, step.attributes.get("perm")))


def _gather(sheet: Sheet, step: Step) -> Value:
    index = sheet.weight(step, 1).astype(np.int64)
    return _picked(sheet, step, np.take(_numbered(sheet, step), index, axis=step.attributes.get("axis", 0)))


def _slice(sheet: Sheet, step: Step) -> Value:
    places = _numbered(sheet, step)
    starts, ends = (sheet.weight(step, place).astype(int) for place in (1, 2))
    axes = sheet.weight(step, 3).astype(int) if len(step.inputs) > 3 and step.inputs[3] else range(len(starts))
    steps = sheet.weight(step, 4).astype(int) if len(step.inputs) > 4 else [1] * len(starts)
    cut = [slice(None)] * places.ndim
    for axis, start, end, stride in zip(axes, starts, ends, steps, strict=True):
        if stride < 1:
            raise step.refuse("walks backwards")
        cut[int(axis)] = slice(int(start), int(end), int(stride))
    return _picked(sheet, step, places[tuple(cut)])


MOVEMENT: dict[str, Rule] = {
    "Concat": _concat,
    "Gather": _gather,
    "Slice": _slice,
    "Transpose": _transpose,
    **dict.fromkeys(("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"), _same),
}
