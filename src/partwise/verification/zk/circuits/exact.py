"""A circuit computed with exact big integers, and the bounds of all its values.

An own interpreter of the few operators that a drawing uses: what the prover computes in its field must equal it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from partwise.errors import UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.drawing import Circuit

__all__ = ["Big", "big_integers", "bounds", "evaluate", "trace"]

Big = NDArray[np.object_]
"""Python integers, of any size."""
Pair = tuple[Big, Big]
"""Least and greatest value of each element."""


def evaluate(circuit: Circuit, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Big]:
    """Outputs as exact integers.

    Args:
        circuit: in integer mode.
        inputs: integers by the name of the input.
    """
    values = trace(circuit, inputs)
    return {port.name: values[port.name] for port in circuit.outputs}


def trace(circuit: Circuit, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Big]:
    """Every value on the way, inputs included, as exact integers."""
    given = {port.name: big_integers(inputs[port.name]).reshape(port.shape) for port in circuit.inputs}
    return {name: low for name, (low, _) in _walk(circuit, {n: (a, a) for n, a in given.items()}).items()}


def bounds(circuit: Circuit, largest: Mapping[str, Any], *, spread: bool = True) -> int:
    """The greatest magnitude that any value can have.

    Args:
        circuit: in integer mode.
        largest: of each input, the greatest magnitude of its integers; or its integers themselves.
        spread: every input between −largest and largest (interval arithmetic); False for the given integers alone.
    """
    given = {port.name: np.broadcast_to(big_integers(largest[port.name]), port.shape) for port in circuit.inputs}
    values = _walk(circuit, {name: (-array if spread else array, array) for name, array in given.items()})
    return max(int(max(abs(low).max(), abs(high).max())) for low, high in values.values())


def _walk(circuit: Circuit, values: dict[str, Pair]) -> dict[str, Pair]:
    onnx = require("onnx")
    graph = onnx.load_from_string(circuit.model).graph
    found = dict(values)
    plain = {held.name: onnx.numpy_helper.to_array(held) for held in graph.initializer}
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        operands = [found.get(name) or _constant(plain[name]) for name in node.input]
        if node.op_type not in _OPERATORS:
            raise UnsupportedOpError(f"node `{node.name}`", f"{node.op_type} has no exact rule")
        found[node.output[0]] = _OPERATORS[node.op_type](operands, attributes)
    return found


def _constant(array: NDArray[Any]) -> Pair:
    held = cast("Big", array) if array.dtype == np.int64 else big_integers(array)
    return held, held


def big_integers(array: NDArray[Any]) -> Big:
    """The same numbers as Python's integers."""
    whole = np.asarray(array)
    if whole.dtype == object:
        return cast("Big", whole)
    found = np.empty(whole.shape, object)
    found.reshape(-1)[:] = [int(x) for x in whole.reshape(-1)]
    return found


def _times(left: Pair, right: Pair, product: Callable[[Big, Big], Big]) -> Pair:
    """Where one operand is a constant w: max over x in [l, h] of w·x is w⁺·h + w⁻·l."""
    (low, high), (weight, same) = left, right
    assert weight is same, "one operand is a constant"
    plus, minus = np.maximum(weight, 0), np.minimum(weight, 0)
    return product(low, plus) + product(high, minus), product(high, plus) + product(low, minus)


def _matmul(operands: list[Pair], _: dict[str, Any]) -> Pair:
    if operands[1][0] is operands[1][1]:
        return _times(operands[0], operands[1], lambda x, w: x @ w)
    return _times(operands[1], operands[0], lambda x, w: w @ x)


def _mul(operands: list[Pair], _: dict[str, Any]) -> Pair:
    if operands[1][0] is operands[1][1]:
        return _times(operands[0], operands[1], lambda x, w: x * w)
    return _times(operands[1], operands[0], lambda x, w: x * w)


def _sub(operands: list[Pair], _: dict[str, Any]) -> Pair:
    (a, b), (c, d) = operands
    return a - d, b - c


def _each(rule: Callable[[list[Big], dict[str, Any]], Big]) -> Callable[[list[Pair], dict[str, Any]], Pair]:
    """A monotonic rule: the bounds of the result are the results of the bounds."""
    return lambda operands, attributes: (
        rule([low for low, _ in operands], attributes),
        rule([high for _, high in operands], attributes),
    )


def _concat(operands: list[Big], attributes: dict[str, Any]) -> Big:
    return np.concatenate(operands, axis=attributes["axis"])


def _gather(operands: list[Big], attributes: dict[str, Any]) -> Big:
    where = np.asarray(operands[1], np.int64)
    return operands[0].take(where, axis=int(attributes["axis"]))


def _relu(operands: list[Big], _: dict[str, Any]) -> Big:
    return np.maximum(operands[0], 0)


def _reshape(operands: list[Big], _: dict[str, Any]) -> Big:
    shape = tuple(int(size) for size in operands[1])
    return cast("Big", operands[0].reshape(shape))


_OPERATORS: dict[str, Callable[[list[Pair], dict[str, Any]], Pair]] = {
    "Add": _each(lambda x, _: x[0] + x[1]),
    "BitShift": _each(lambda x, _: x[0] >> big_integers(x[1])),
    "Concat": _each(_concat),
    "Gather": _each(_gather),
    "Identity": _each(lambda x, _: x[0]),
    "MatMul": _matmul,
    "Mul": _mul,
    "Relu": _each(_relu),
    "Reshape": _each(_reshape),
    "Sub": _sub,
}
