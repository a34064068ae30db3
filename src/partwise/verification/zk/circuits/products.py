"""Products with constant weights: Gemm, MatMul, Conv as Gather (im2col) + MatMul.

A product of at least two rows and columns is proved by Freivalds' check, whose cells grow with the operands, not
with the multiplications (docs/proof-cost.md).
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from partwise.verification.zk.circuits.drawing import Value, integers
from partwise.verification.zk.circuits.step import Rule, Sheet, Step
from partwise.verification.zk.circuits.windows import indices, sliding

__all__ = ["PRODUCTS"]


def _gemm(sheet: Sheet, step: Step) -> Value:
    """alpha · A · B + beta · C with constant B, C."""
    if step.attributes.get("transA"):
        raise step.refuse("transposes its computed operand")
    weight = sheet.weight(step, 1) * step.attributes.get("alpha", 1.0)
    weight = weight.T if step.attributes.get("transB") else weight
    made = _product(sheet, sheet.value(step.inputs[0]), weight)
    if len(step.inputs) < 3 or not step.inputs[2]:
        return made
    return _plus(sheet, made, sheet.weight(step, 2) * step.attributes.get("beta", 1.0))


def _matmul(sheet: Sheet, step: Step) -> Value:
    """x [.., M, K] @ W [K, N]."""
    weight = sheet.weight(step, 1)
    if weight.ndim != 2:
        raise step.refuse("has a weight of another rank than 2")
    value = sheet.value(step.inputs[0])
    return _product(sheet, sheet.drawing.reshape(value, (prod(value.shape[:-1]), value.shape[-1])), weight)


def _conv(sheet: Sheet, step: Step) -> Value:
    """W [O, C/g, *kernel] over x [1, C, *image], each group a product of its own."""
    value, weight = sheet.value(step.inputs[0]), sheet.weight(step, 1)
    if value.shape[0] != 1:
        raise step.refuse(f"has a batch of {value.shape[0]}", "prove one request at a time")
    groups, image = step.attributes.get("group", 1), value.shape[2:]
    attributes = {**step.attributes, "kernel_shape": weight.shape[2:]}
    places = sheet.shape(step.output)[2:]
    window = indices(sliding(step.name, attributes, image, places))
    flat = _with_zero(sheet, value) if (window < 0).any() else sheet.drawing.reshape(value, (prod(value.shape),))
    depth, height = weight.shape[1], weight.shape[0] // groups
    made = [
        _left_product(
            sheet,
            weight[group * height : (group + 1) * height].reshape(height, -1),
            sheet.drawing.gather(flat, _channels(window, prod(image), group * depth, depth, prod(value.shape))),
        )
        for group in range(groups)
    ]
    name = made[0].name if groups == 1 else sheet.drawing.node("Concat", [part.name for part in made], axis=0)
    whole = Value(name, (weight.shape[0], prod(places)), made[0].bits)
    if len(step.inputs) < 3 or not step.inputs[2]:
        return whole
    return _plus(sheet, whole, sheet.weight(step, 2).reshape(-1, 1))


def _channels(window: NDArray[np.int64], pixels: int, first: int, depth: int, zero: int) -> NDArray[np.int64]:
    """[depth · kernel, places] indices into all channels; the padding reads the element at `zero`."""
    per = [np.where(window < 0, zero, window + (first + channel) * pixels) for channel in range(depth)]
    return np.concatenate([part.T for part in per], axis=0).astype(np.int64)


def _with_zero(sheet: Sheet, value: Value) -> Value:
    """The flat value with a zero at its end, which the padding reads."""
    drawing, size = sheet.drawing, prod(value.shape)
    flat = drawing.reshape(value, (size,))
    return Value(drawing.node("Concat", [flat.name, drawing.constant(np.zeros(1))], axis=0), (size + 1,), value.bits)


def _product(sheet: Sheet, value: Value, weight: NDArray[np.float64]) -> Value:
    """value [M, K] @ weight [K, N]."""
    assert value.bits is not None
    held = sheet.drawing.constant(integers(weight, sheet.weight_bits))
    made = sheet.drawing.node("MatMul", [value.name, held])
    return Value(made, (value.shape[0], weight.shape[1]), value.bits + sheet.weight_bits)


def _left_product(sheet: Sheet, weight: NDArray[np.float64], value: Value) -> Value:
    """weight [M, K] @ value [K, N]."""
    assert value.bits is not None
    held = sheet.drawing.constant(integers(weight, sheet.weight_bits))
    made = sheet.drawing.node("MatMul", [held, value.name])
    return Value(made, (weight.shape[0], value.shape[1]), value.bits + sheet.weight_bits)


def _plus(sheet: Sheet, value: Value, bias: NDArray[np.float64]) -> Value:
    assert value.bits is not None
    held = sheet.fixed(np.broadcast_to(bias, value.shape), value.bits)
    return Value(sheet.drawing.node("Add", [value.name, held.name]), value.shape, value.bits)


PRODUCTS: dict[str, Rule] = {"Gemm": _gemm, "MatMul": _matmul, "Conv": _conv}
