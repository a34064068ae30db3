"""Values moved between segments, not computed: parts taken along an axis, and parts put together.

A segment that only moves values needs no circuit where proofs show their values: the verifier moves them itself, and
compares what a proof took with what other proofs gave, element by element (`origins`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from partwise.extras import require
from partwise.strict_json import SharedInt

__all__ = ["MOST_MOVED", "Move", "Share", "carried", "moves_of", "scales_of", "shapes_problem"]

MOST_MOVED = 1 << 23
"""Elements that all segments of a manifest may move; one from anywhere names sizes as it likes. Assumed."""
_AXIS_ALONE = 4
"""Inputs of a Slice that takes a part along given axes: value, starts, ends, axes."""
Array = TypeVar("Array", bound=NDArray[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one tensor gives to another."""

    tensor: str
    first: SharedInt
    """Along the axis of the move."""
    last: SharedInt
    """One past the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A tensor put together of parts of others along an axis."""

    tensor: str
    axis: SharedInt
    shares: tuple[Share, ...]


def moves_of(onnx: bytes) -> tuple[Move, ...]:
    """What a segment moves, in an order in which it can be done; nothing where it computes anything.

    Args:
        onnx: the segment's model, with static shapes.
    """
    proto = require("onnx").load_from_string(onnx)
    if any(node.op_type not in ("Slice", "Concat") or node.domain not in ("", "ai.onnx") for node in proto.graph.node):
        return ()
    reader = _Reader(require("onnx"), require("onnx").shape_inference.infer_shapes(proto, data_prop=True).graph)
    found = [reader.sliced(node) if node.op_type == "Slice" else reader.joined(node) for node in proto.graph.node]
    return tuple(move for move in found if move is not None) if None not in found else ()


def carried(moves: Sequence[Move], given: Mapping[str, Array]) -> dict[str, Array]:
    """All tensors that moves make of given ones; one that reads what is not there is left out."""
    known = dict(given)
    for move in moves:
        if all(share.tensor in known for share in move.shares):
            taken = [_cut(known[share.tensor], move.axis, share) for share in move.shares]
            known[move.tensor] = np.concatenate(taken, axis=move.axis)  # pyright: ignore[reportArgumentType]
    return {move.tensor: known[move.tensor] for move in moves if move.tensor in known}


def scales_of(moves: Sequence[Move], given: Mapping[str, int]) -> dict[str, int]:
    """The scales of what moves make of tensors at given ones; what is put together of several scales is left out."""
    known = dict(given)
    for move in moves:
        found = {known.get(share.tensor) for share in move.shares}
        if len(found) == 1 and (scale := next(iter(found))) is not None:
            known[move.tensor] = scale
    return {move.tensor: known[move.tensor] for move in moves if move.tensor in known}


def shapes_problem(
    moves: Sequence[Move], given: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]
) -> str:
    """What is impossible in moves from anywhere; empty where nothing is.

    Args:
        moves: of a segment.
        given: shapes of what it takes.
        wanted: of what it is to give.
    """
    known, left = dict(given), MOST_MOVED - sum(map(prod, given.values()))
    for move in moves:
        if problem := _move_problem(move, known):
            return problem
        sources = [known[share.tensor] for share in move.shares]
        size = sum(share.last - share.first for share in move.shares)
        known[move.tensor] = (*sources[0][: move.axis], size, *sources[0][move.axis + 1 :])
        left -= prod(known[move.tensor])
        if left < 0:
            return "moves absurdly much"
    wrong = [name for name, shape in wanted.items() if name in given or known.get(name) != shape]
    return f"does not move to `{wrong[0]}` what is to be there" if wrong else ""


def _move_problem(move: Move, known: Mapping[str, tuple[int, ...]]) -> str:
    if move.tensor in known:
        return f"gives `{move.tensor}` twice"
    if not move.shares or any(share.tensor not in known for share in move.shares):
        return f"moves to `{move.tensor}` what it does not take"
    shapes, axis = [known[share.tensor] for share in move.shares], move.axis
    if not 0 <= axis < min(map(len, shapes)) or len({(*s[:axis], 0, *s[axis + 1 :]) for s in shapes}) > 1:
        return f"moves to `{move.tensor}` along an axis that there is not"
    if any(not 0 <= s.first < s.last <= shape[axis] for s, shape in zip(move.shares, shapes, strict=True)):
        return f"moves to `{move.tensor}` more than there is"
    return ""


def _cut(array: Array, axis: int, share: Share) -> Array:
    return array[(slice(None),) * axis + (slice(share.first, share.last),)]  # pyright: ignore[reportReturnType]


class _Reader:
    """Of one segment's ONNX."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx = onnx
        self._held = {tensor.name: tensor for tensor in graph.initializer}
        self._shapes = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.value_info, *graph.output)
        }

    def sliced(self, node: Any) -> Move | None:
        """A Slice along one axis, forwards and without gaps."""
        numbers = [self._numbers(name) for name in node.input[1:]]
        if node.input[0] not in self._shapes or len(numbers) < _AXIS_ALONE - 1 or any(len(n) != 1 for n in numbers):
            return None
        first, last, axis = (found[0] for found in numbers[:3])
        if len(numbers) >= _AXIS_ALONE and numbers[3] != [1]:
            return None
        shape = self._shapes[node.input[0]]
        axis %= len(shape)
        first, last, _ = slice(first, last).indices(shape[axis])
        return Move(tensor=node.output[0], axis=axis, shares=(Share(tensor=node.input[0], first=first, last=last),))

    def joined(self, node: Any) -> Move | None:
        """A Concat of computed values."""
        if any(name in self._held or name not in self._shapes for name in node.input):
            return None
        axis = next(attribute.i for attribute in node.attribute if attribute.name == "axis")
        axis %= len(self._shapes[node.input[0]])
        shares = (Share(tensor=name, first=0, last=self._shapes[name][axis]) for name in node.input)
        return Move(tensor=node.output[0], axis=axis, shares=tuple(shares))

    def _numbers(self, name: str) -> list[int]:
        if name not in self._held:
            return []
        return [int(number) for number in self._onnx.numpy_helper.to_array(self._held[name]).reshape(-1)]
