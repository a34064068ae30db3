"""A circuit as a list of operations on flat integer tensors, any few elements of which can be computed alone.

Each operator has one rule. It asks for the elements that it reads; answered with zeros it tells what it reads,
answered with opened values it recomputes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from partwise.errors import UnsafeFileError, UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.exact import Big, big_integers
from partwise.verification.zk.field import MODULUS

__all__ = ["Operation", "Program", "compute", "read_program", "reads"]

Indices = NDArray[np.int64]
Look = Callable[[int, Indices], Big]
"""(operand, flat indices) -> values of the same shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One node."""

    op: str
    operands: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Of the operands."""
    output: str
    shape: tuple[int, ...]
    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A circuit's operations in order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, Big]
    operations: tuple[Operation, ...]

    @property
    def tensors(self) -> tuple[str, ...]:
        """Everything that is committed to, in order."""
        return (*self.inputs, *(operation.output for operation in self.operations))


def read_program(model: bytes) -> Program:
    """The operations of a lowered circuit, its shapes inferred.

    Raises:
        UnsupportedOpError: an operator without a rule.
        UnsafeFileError: a weight that lies in another file.
    """
    onnx = require("onnx")
    parsed = onnx.load_from_string(model)
    if any(held.external_data or held.data_location for held in parsed.graph.initializer):
        raise UnsafeFileError("circuit", "has weights in another file: of whoever reads it")
    graph = onnx.shape_inference.infer_shapes(parsed, data_prop=True).graph
    constants = {held.name: onnx.numpy_helper.to_array(held) for held in graph.initializer}
    shapes: dict[str, tuple[int, ...]] = {name: array.shape for name, array in constants.items()}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.name not in constants:  # whose shapes are those of their data, whatever the file says beside them
            shapes[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    operations = list[Operation]()
    for node in graph.node:
        if node.op_type not in _RULES:
            raise UnsupportedOpError(f"node `{node.name}`", f"{node.op_type} has no rule to recompute it by")
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        # ONNX infers nothing behind a shift of what is no unsigned integer; such nodes keep their operand's shape.
        shapes.setdefault(node.output[0], shapes[node.input[0]])
        operations.append(
            Operation(
                op=node.op_type,
                operands=tuple(node.input),
                shapes=tuple(shapes[name] for name in node.input),
                output=node.output[0],
                shape=shapes[node.output[0]],
                axis=int(attributes.get("axis", 0)),
            )
        )
    return Program(
        inputs=tuple(value.name for value in graph.input),
        outputs=tuple(value.name for value in graph.output),
        shapes=shapes,
        constants={name: big_integers(array).reshape(-1) for name, array in constants.items()},
        operations=tuple(operations),
    )


def reads(program: Program, operation: Operation, indices: Indices) -> dict[str, Indices]:
    """Which elements of committed tensors some elements of an operation's output need."""
    found: dict[str, list[Indices]] = {}

    def look(operand: int, wanted: Indices) -> Big:
        name = operation.operands[operand]
        if name in program.constants:
            return program.constants[name][wanted]
        found.setdefault(name, []).append(wanted.reshape(-1))
        return np.zeros(wanted.shape, object)

    _RULES[operation.op](operation, indices, look)
    return {name: np.unique(np.concatenate(parts)) for name, parts in found.items()}


def compute(program: Program, operation: Operation, indices: Indices, known: Callable[[str, Indices], Big]) -> Big:
    """Some elements of an operation's output.

    Args:
        program: that has it.
        operation: what is computed.
        indices: flat, of the output.
        known: gives elements of committed tensors.
    """

    def look(operand: int, wanted: Indices) -> Big:
        name = operation.operands[operand]
        return program.constants[name][wanted] if name in program.constants else known(name, wanted)

    return _RULES[operation.op](operation, indices, look)


def _aligned(operation: Operation, operand: int, indices: Indices) -> Indices:
    """The elements of an operand that meet these of the output, as ONNX broadcasts."""
    shape = operation.shapes[operand]
    numbered = np.arange(prod(shape), dtype=np.int64).reshape(shape)
    return np.broadcast_to(numbered, operation.shape).reshape(-1)[indices]


def _pairwise(join: Callable[[Big, Big], Big]) -> Callable[[Operation, Indices, Look], Big]:
    def rule(operation: Operation, indices: Indices, look: Look) -> Big:
        return join(look(0, _aligned(operation, 0, indices)), look(1, _aligned(operation, 1, indices)))

    return rule


def _same(operation: Operation, indices: Indices, look: Look) -> Big:
    del operation
    return look(0, indices)


def _relu(operation: Operation, indices: Indices, look: Look) -> Big:
    del operation
    return cast("Big", np.maximum(look(0, indices), 0))


def _matmul(operation: Operation, indices: Indices, look: Look) -> Big:
    depth, columns = operation.shapes[1]
    row, column = indices // columns, indices % columns
    terms = np.arange(depth, dtype=np.int64)
    left = look(0, row[:, None] * depth + terms[None])
    right = look(1, terms[None] * columns + column[:, None])
    return cast("Big", (left * right).sum(axis=1))


def _gather(operation: Operation, indices: Indices, look: Look) -> Big:
    rows = look(1, indices)
    held = (rows >= 0) & (rows < prod(operation.shapes[0]))
    found = look(0, np.where(held, rows, 0).astype(np.int64))
    return cast("Big", np.where(held, found, _NO_VALUE))


def _concat(operation: Operation, indices: Indices, look: Look) -> Big:
    owner = [np.full(shape, place) for place, shape in enumerate(operation.shapes)]
    own = [np.arange(prod(shape)).reshape(shape) for shape in operation.shapes]
    owners = np.concatenate(owner, axis=operation.axis).reshape(-1)[indices]
    places = np.concatenate(own, axis=operation.axis).reshape(-1)[indices]
    found = np.empty(indices.shape, object)
    for operand in range(len(operation.operands)):
        mine = owners == operand
        if mine.any():
            found[mine] = look(operand, places[mine])
    return found


_NO_VALUE = 2 * MODULUS
"""What a table has where it has no row: nothing that could be opened."""

_RULES: dict[str, Callable[[Operation, Indices, Look], Any]] = {
    "Add": _pairwise(lambda x, y: x + y),
    "BitShift": _pairwise(lambda x, y: x >> y),
    "Cast": _same,
    "Concat": _concat,
    "Gather": _gather,
    "Identity": _same,
    "MatMul": _matmul,
    "Mul": _pairwise(lambda x, y: x * y),
    "Relu": _relu,
    "Reshape": _same,
    "Sub": _pairwise(lambda x, y: x - y),
}
