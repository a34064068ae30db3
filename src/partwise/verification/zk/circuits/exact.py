"""A circuit computed with exact big integers, and the bounds of the values that its prover checks.

An own interpreter of the few operators that a drawing uses: what the prover computes in its field must equal it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from partwise.errors import UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.drawing import Circuit
from partwise.verification.zk.circuits.exact_rules import RULES, Big, Pair, big_integers, divided

__all__ = ["Big", "big_integers", "bounds", "checks", "evaluate", "trace"]


def evaluate(circuit: Circuit, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Big]:
    """Outputs as exact integers.

    Args:
        circuit: in integer mode.
        inputs: integers by the name of the input.

    Raises:
        InputError: a value that a table has no row for.
    """
    values = trace(circuit, inputs)
    return {port.name: values[port.name] for port in circuit.outputs}


def trace(circuit: Circuit, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Big]:
    """Every value on the way, inputs included, as exact integers."""
    given = {port.name: big_integers(inputs[port.name]).reshape(port.shape) for port in circuit.inputs}
    walk = _Walk({name: (array, array) for name, array in given.items()})
    return {name: low for name, (low, _) in walk.through(circuit).items()}


def bounds(circuit: Circuit, largest: Mapping[str, Any], *, spread: bool = True) -> int:
    """The greatest magnitude of a value that the prover splits into digits.

    Those are the inputs and outputs, what a Relu or a comparison reads, quotients and rests. Everything else is
    computed in the field, which holds far more.

    Args:
        circuit: in integer mode.
        largest: of each input, the greatest magnitude of its integers; or its integers themselves.
        spread: every input between −largest and largest (interval arithmetic); False for the given integers alone.
    """
    given = {port.name: np.broadcast_to(big_integers(largest[port.name]), port.shape) for port in circuit.inputs}
    walk = _Walk({name: (-array if spread else array, array) for name, array in given.items()})
    values = walk.through(circuit)
    return max(*walk.checks.values(), *(_reach(values[port.name]) for port in (*circuit.inputs, *circuit.outputs)))


def checks(circuit: Circuit, inputs: Mapping[str, NDArray[Any]]) -> tuple[dict[str, Big], dict[str, int]]:
    """Every value on the way as exact integers, and by node the greatest magnitude that it splits into digits.

    Args:
        circuit: in integer mode.
        inputs: integers by the name of the input.
    """
    given = {port.name: big_integers(inputs[port.name]).reshape(port.shape) for port in circuit.inputs}
    walk = _Walk({name: (array, array) for name, array in given.items()})
    values = {name: low for name, (low, _) in walk.through(circuit).items()}
    return values, walk.checks


@dataclass(slots=True)
class _Walk:
    """Through a drawing's nodes, with each value's integers and the power of two that they are to be divided by.

    A product with 2^-j changes no integer: it raises the value's scale by j. The sum that follows is divided back to
    scale 0 and rounded. Source: ezkl 23.0.5, scales and `RebaseScale`, compared in tests/e2e/test_block_proofs.py.
    """

    values: dict[str, Pair]
    scales: dict[str, int] = field(default_factory=dict[str, int])
    checks: dict[str, int] = field(default_factory=dict[str, int])
    """By the node's output, the greatest magnitude that it splits into digits."""

    def through(self, circuit: Circuit) -> dict[str, Pair]:
        onnx = require("onnx")
        graph = onnx.load_from_string(circuit.model).graph
        plain = {held.name: onnx.numpy_helper.to_array(held) for held in graph.initializer}
        for node in graph.node:
            if node.op_type not in RULES:
                raise UnsupportedOpError(f"node `{node.name}`", f"{node.op_type} has no exact rule")
            places = _places(node, plain)
            if places:
                self.values[node.output[0]] = self.values[node.input[0]]
                self.scales[node.output[0]] = places
                continue
            operands = [self.values.get(name) or _constant(plain[name]) for name in node.input]
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            self.values[node.output[0]] = self._computed(node, operands, attributes)
        return self.values

    def _computed(self, node: Any, operands: list[Pair], attributes: dict[str, Any]) -> Pair:
        found = RULES[node.op_type](operands, attributes)
        if node.op_type == "Relu":
            self._check(node, _reach(operands[0]))
        elif node.op_type == "Less":
            self._check(node, _reach(RULES["Sub"](operands, attributes)))
        if not (places := {self.scales.get(name, 0) for name in node.input} - {0}):
            return found
        if node.op_type != "Add" or len(places) > 1:
            raise UnsupportedOpError(f"node `{node.name}`", f"{node.op_type} has no exact rule at a scale")
        low = divided(found[0], max(places))
        quotient = low, low if found[0] is found[1] else divided(found[1], max(places))
        self._check(node, max(1 << max(places), _reach(quotient)))
        return quotient

    def _check(self, node: Any, reach: int) -> None:
        self.checks[node.output[0]] = reach


def _places(node: Any, plain: Mapping[str, NDArray[Any]]) -> int:
    """j of a product with 2^-j; 0 of anything else."""
    factor = plain.get(node.input[1]) if node.op_type == "Mul" else None
    if factor is None or factor.size != 1 or not 0 < float(factor.reshape(-1)[0]) < 1:
        return 0
    places = -np.log2(float(factor.reshape(-1)[0]))
    if places != int(places):
        raise UnsupportedOpError(f"node `{node.name}`", "has a factor that is neither an integer nor a power of two")
    return int(places)


def _reach(value: Pair) -> int:
    low, high = value
    return int(max(abs(low).max(), abs(high).max()))


def _constant(array: NDArray[Any]) -> Pair:
    held = cast("Big", array) if array.dtype == np.int64 else big_integers(array)
    return held, held
