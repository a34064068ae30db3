"""A circuit's ONNX model as it is drawn: constants, nodes, values with their shapes and binary digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partwise.errors import ModelError
from partwise.extras import require

__all__ = ["Circuit", "CircuitPort", "Drawing", "Value", "integers"]

_OPSET, _IR_VERSION = 17, 8
_PRODUCER = "partwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitPort:
    """A value at the boundary of a circuit."""

    name: str
    shape: tuple[int, ...]
    bits: int | None
    """Binary digits after the point: the real value is integer / 2^bits. None where the prover scales by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """What a segment becomes."""

    model: bytes
    """ONNX, float32: in integer mode every constant is an integer that float32 holds exactly."""
    inputs: tuple[CircuitPort, ...]
    outputs: tuple[CircuitPort, ...]

    @property
    def is_integer(self) -> bool:
        """Whether the prover computes it without rounding, at scale 0."""
        return all(port.bits is not None for port in (*self.inputs, *self.outputs))


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the drawing."""

    name: str
    shape: tuple[int, ...]
    bits: int | None


def integers(array: NDArray[Any], bits: int) -> NDArray[np.float64]:
    """Integers nearest to array × 2^bits, among those that float32 holds exactly.

    Below 2^24 that is each one; above, a bias is rounded to float32's own precision.
    """
    rounded = np.rint(np.asarray(array, np.float64) * 2.0**bits)
    return rounded.astype(np.float32).astype(np.float64)


class Drawing:
    """Nodes and constants in the order in which they are made."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._count = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the nodes so far."""
        return tuple(node.name for node in self._nodes)

    def constant(self, array: NDArray[Any]) -> str:
        """A constant: float32, or int64 where it is one."""
        name = self._name("c")
        kept = array if array.dtype == np.int64 else array.astype(np.float32)
        self._constants.append(require("onnx").numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A node of one output; its name."""
        name = self._name(op.lower())
        self._nodes.append(require("onnx").helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """The same elements in another shape; costs no cell."""
        if tuple(shape) == value.shape:
            return value
        if prod(shape) != prod(value.shape):
            raise ModelError(f"value `{value.name}`", "cannot take this shape", expected=value.shape, got=tuple(shape))
        made = self.node("Reshape", [value.name, self.constant(np.array(shape, np.int64))])
        return Value(made, tuple(shape), value.bits)

    def gather(self, value: Value, indices: NDArray[np.int64]) -> Value:
        """Elements of a flat value by constant indices; costs no cell."""
        made = self.node("Gather", [value.name, self.constant(indices)], axis=0)
        return Value(made, indices.shape, value.bits)

    def finish(self, inputs: Sequence[CircuitPort], outputs: Sequence[tuple[str, Value]], name: str) -> Circuit:
        """The model; each output under its own name."""
        onnx = require("onnx")
        for port, value in outputs:
            self._nodes.append(onnx.helper.make_node("Identity", [value.name], [port]))
        ports = tuple(CircuitPort(name=port, shape=value.shape, bits=value.bits) for port, value in outputs)
        body = onnx.helper.make_graph(
            self._nodes, name, [_typed(p) for p in inputs], [_typed(p) for p in ports], initializer=self._constants
        )
        opsets = [onnx.helper.make_opsetid("", _OPSET)]
        model = onnx.helper.make_model(body, opset_imports=opsets, ir_version=_IR_VERSION, producer_name=_PRODUCER)
        data = model.SerializeToString(deterministic=True)
        return Circuit(model=data, inputs=tuple(inputs), outputs=ports)

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


def _typed(port: CircuitPort) -> Any:
    onnx = require("onnx")
    return onnx.helper.make_tensor_value_info(port.name, onnx.TensorProto.FLOAT, list(port.shape))
