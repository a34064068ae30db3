"""Sums, differences, products with constants, Relu."""

from __future__ import annotations

import numpy as np

from partwise.verification.zk.circuits.drawing import Value, integers
from partwise.verification.zk.circuits.step import Rule, Sheet, Step

__all__ = ["POINTWISE"]


def _relu(sheet: Sheet, step: Step) -> Value:
    value = sheet.value(step.inputs[0])
    return Value(sheet.drawing.node("Relu", [value.name]), value.shape, value.bits)


def _sum(sheet: Sheet, step: Step) -> Value:
    """Add and Sub: the operand with fewer digits after the point gets more; a constant takes the other's."""
    left, right = step.inputs
    known = [sheet.values[name] for name in (left, right) if name not in sheet.constants]
    bits = max(value.bits or 0 for value in known)
    operands = [
        sheet.fixed(sheet.constants[name], bits) if name in sheet.constants else sheet.raised(sheet.values[name], bits)
        for name in (left, right)
    ]
    made = sheet.drawing.node(step.op, [operand.name for operand in operands])
    return Value(made, np.broadcast_shapes(operands[0].shape, operands[1].shape), bits)


def _scaled(sheet: Sheet, step: Step) -> Value:
    """Mul and Div by a constant."""
    places = [place for place, name in enumerate(step.inputs) if name in sheet.constants]
    if len(places) != 1 or (step.op == "Div" and places != [1]):
        raise step.refuse("has two computed operands" if not places else "divides a constant")
    factor = sheet.weight(step, places[0])
    value = sheet.value(step.inputs[1 - places[0]])
    factor = 1 / factor if step.op == "Div" else factor
    bits = 0 if np.array_equal(factor, np.rint(factor)) else sheet.weight_bits
    return _times(sheet, value, factor, bits)


def _times(sheet: Sheet, value: Value, factor: np.ndarray, bits: int) -> Value:
    assert value.bits is not None
    held = sheet.drawing.constant(integers(factor.reshape(factor.shape or (1,)), bits))
    made = sheet.drawing.node("Mul", [value.name, held])
    return Value(made, np.broadcast_shapes(value.shape, factor.shape), value.bits + bits)


def _normalized(sheet: Sheet, step: Step) -> Value:
    """BatchNormalization at inference: a factor and an offset for each channel."""
    gain, offset, mean, variance = (sheet.weight(step, place) for place in (1, 2, 3, 4))
    value = sheet.value(step.inputs[0])
    shape = (1, -1, *(1 for _ in value.shape[2:]))
    factor = gain / np.sqrt(variance + step.attributes.get("epsilon", 1e-5))
    scaled = _times(sheet, value, factor.reshape(shape), sheet.weight_bits)
    shift = sheet.fixed((offset - mean * factor).reshape(shape), scaled.bits or 0)
    return Value(sheet.drawing.node("Add", [scaled.name, shift.name]), scaled.shape, scaled.bits)


POINTWISE: dict[str, Rule] = {
    "Relu": _relu,
    "Add": _sum,
    "Sub": _sum,
    "Mul": _scaled,
    "Div": _scaled,
    "BatchNormalization": _normalized,
}
