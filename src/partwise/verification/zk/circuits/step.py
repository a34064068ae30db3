"""One node on its way into a drawing, and the sheet that it is drawn on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import ModelError, UnsupportedOpError
from partwise.verification.zk.circuits.drawing import Drawing, Value, integers

__all__ = ["Precision", "Rule", "Sheet", "Step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A node of the source model."""

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]

    def refuse(self, why: str, hint: str = "") -> UnsupportedOpError:
        """The error that this node cannot be drawn."""
        return UnsupportedOpError(f"node `{self.name}`", f"{self.op} {why}", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Of what integers can only approximate."""

    table_bits: int = 8
    """Binary digits after the point of what a table of Gelu is asked for: it is off by 2^-10 at most."""
    norm_bits: int = 12
    """Of the values that a normalization reads and gives."""
    deviation: float = 12.0
    """The greatest standard deviation that a normalization takes; 1/31 of it is the least. Others cannot be proved."""


@dataclass(slots=True, kw_only=True)
class Sheet:
    """What has been drawn so far, by the source model's names."""

    digits: Mapping[str, int] | int
    """Of weights after the point: one for all, or each node's by its name."""
    constants: dict[str, NDArray[Any]]
    shapes: dict[str, tuple[int, ...]]
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    drawing: Drawing = field(default_factory=Drawing)
    precision: Precision = field(default_factory=Precision)
    shifts: bool = False
    """Whether the prover can shift integers; ezkl cannot."""
    weight_bits: int = 0
    """Of the node that is being drawn."""

    def enter(self, step: Step) -> None:
        """Take up the next node; one without digits of its own keeps those of the node before."""
        if isinstance(self.digits, int):
            self.weight_bits = self.digits
        elif step.name in self.digits:
            self.weight_bits = self.digits[step.name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Static shape of a tensor.

        Raises:
            ModelError: it is not known.
        """
        if name not in self.shapes:
            raise ModelError(f"tensor `{name}`", "has no static shape", hint="fix the model's dynamic dims")
        return self.shapes[name]

    def value(self, name: str) -> Value:
        """A tensor as drawn; a constant is drawn at the weights' digits."""
        if name not in self.values and name in self.constants:
            return self.fixed(self.constants[name], self.weight_bits)
        return self.values[name]

    def weight(self, step: Step, place: int) -> NDArray[np.float64]:
        """A constant operand.

        Raises:
            UnsupportedOpError: it is computed.
        """
        if step.inputs[place] not in self.constants:
            raise step.refuse(f"has a computed operand `{step.inputs[place]}`", "only constant weights are drawn")
        return np.asarray(self.constants[step.inputs[place]], np.float64)

    def fixed(self, array: NDArray[Any], bits: int) -> Value:
        """A constant at given digits."""
        rounded = integers(array, bits)
        return Value(self.drawing.constant(rounded), rounded.shape, bits)

    def raised(self, value: Value, bits: int) -> Value:
        """The same value with more digits after the point."""
        assert value.bits is not None
        if value.bits == bits:
            return value
        factor = self.drawing.constant(np.array([2.0 ** (bits - value.bits)]))
        return Value(self.drawing.node("Mul", [value.name, factor]), value.shape, bits)


Rule = Callable[[Sheet, Step], Value]
"""Draws one node; what it returns is reshaped to the node's own output shape."""
