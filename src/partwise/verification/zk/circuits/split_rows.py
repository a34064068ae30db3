"""One operator in several along an axis of its output, each of which reads the part of the inputs that it needs.

Rows of a convolution or of a pool (with the rows that their windows reach), rows of a product's computed operand, rows
of a normalization, any axis of what works element by element or channel by channel. What follows row by row goes with
its part. What a part reads of another value is a Slice, or a Concat of what earlier parts gave: values moved, nothing
computed, so that a segment of them needs no circuit (`moves`). The integers are the very same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from partwise.errors import InputError, UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.row_region import RowRegion, Rows, window_rows
from partwise.verification.zk.circuits.split import JOINED, dealt, hold_constants, replaced, sliced

__all__ = ["TAKEN", "Takes", "split_rows"]

TAKEN = "/taken"
"""What the name of a node ends in that takes a part of a value."""


def split_rows(model: bytes, nodes: Collection[str], axis: int, parts: int) -> bytes:
    """A model in which an operator, with what follows it row by row, is several.

    Args:
        model: ONNX with static shapes.
        nodes: outputs of the nodes that are split; several where a circuit computes them in one (a written-out Gelu).
        axis: of their output, counted from 0.
        parts: in how many; rows are dealt out as evenly as possible.

    Raises:
        InputError: more parts than rows.
        UnsupportedOpError: it cannot be split along this axis.
    """
    onnx = require("onnx")
    proto = onnx.load_from_string(model)
    hold_constants(proto.graph)
    rows = Rows(proto)
    region = rows.region(nodes, axis)
    if region is None:
        raise UnsupportedOpError(f"node `{next(iter(nodes))}`", f"is not computed row by row along axis {axis}")
    if not 1 < parts <= region.units:
        raise InputError(f"node `{next(iter(nodes))}`", "cannot be split so", expected=f"2 to {region.units} parts",
                         got=parts)  # fmt: skip
    takes, made = Takes(proto, axis, rows.shapes), list[Any]()
    for number, piece in enumerate(dealt(region.units, parts)):
        made += _part(proto, region, takes, piece, number)
    for value in region.exits:
        names = [f"{value}/{number}" for number in range(parts)]
        made.append(onnx.helper.make_node("Concat", names, [value], name=value + JOINED, axis=axis))
    replaced(proto.graph, list(region.nodes), [*takes.slices, *made])
    proto.graph.initializer.extend(takes.constants)
    return proto.SerializeToString(deterministic=True)


class Takes:
    """Parts of values along an axis, each taken once.

    Args:
        proto: the model, with constants held and static shapes.
        axis: counted from 0.
        shapes: of all values.
    """

    def __init__(self, proto: Any, axis: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._onnx, self._axis, self._shapes = require("onnx"), axis, shapes
        self._joins = {n.output[0]: n for n in proto.graph.node if n.name.endswith(JOINED)}
        self._known = set[str]()
        self.slices, self.constants = list[Any](), list[Any]()
        """In an order in which they can be computed."""
        self.joined = list[Any]()
        """What puts parts together that were not taken before; whoever adds them to a model empties it."""

    def take(self, value: str, first: int, last: int) -> str:
        """The name of what a value has from one row to before another."""
        if (first, last) == (0, self._shapes[value][self._axis]):
            return value
        join = self._joins.get(value)
        if join is not None and self._along(join) == self._axis:
            return self._joined(value, first, last)
        name = f"{value}/{self._axis}/{first}-{last}"
        if name not in self._known:
            self._known.add(name)
            self.slices.append(self._slice(value, name, first, last))
        return name

    def _along(self, join: Any) -> int:
        axis = next(attribute.i for attribute in join.attribute if attribute.name == "axis")
        return axis % len(self._shapes[join.output[0]])

    def _joined(self, value: str, first: int, last: int) -> str:
        found, start = list[str](), 0
        for part in self._joins[value].input:
            size = self._shapes[part][self._axis]
            low, high = max(first - start, 0), min(last - start, size)
            if low < high:
                found.append(self.take(part, low, high))
            start += size
        if len(found) == 1:
            return found[0]
        name = f"{value}/{self._axis}/{first}-{last}"
        if name not in self._known:
            self._known.add(name)
            self.joined.append(
                self._onnx.helper.make_node("Concat", found, [name], name=name + JOINED, axis=self._axis)
            )
        return name

    def _slice(self, value: str, name: str, first: int, last: int) -> Any:
        given = list[str]()
        for kind, number in (("first", first), ("last", last), ("axis", self._axis)):
            given.append(f"{name}/{kind}")
            self.constants.append(self._onnx.numpy_helper.from_array(np.array([number], np.int64), given[-1]))
        return self._onnx.helper.make_node("Slice", [value, *given], [name], name=name + TAKEN)


def _part(proto: Any, region: RowRegion, takes: Takes, piece: slice, number: int) -> list[Any]:
    """One part of the region, under names of its own, after what puts its inputs together."""
    inside, made = {node.output[0] for node in region.nodes}, list[Any]()
    for node in region.nodes:
        first, last = region.rows(node, piece)
        copy = type(node)()
        copy.CopyFrom(node)
        copy.name, copy.output[0] = f"{node.name}/{number}", f"{node.output[0]}/{number}"
        needed = first, last
        if node.output[0] in region.windows:
            needed = _windowed(copy, region, first, last)
        for place, name in enumerate(node.input):
            if name in inside:
                copy.input[place] = f"{name}/{number}"
            elif name in region.held and region.is_sliced(node, place):
                copy.input[place] = sliced(proto, name, (region.back(name), slice(first, last)), number)
            elif region.is_taken(node, place):
                copy.input[place] = takes.take(name, *needed)
        made += [*takes.joined, copy]
        takes.joined.clear()
    return made


def _windowed(copy: Any, region: RowRegion, first: int, last: int) -> tuple[int, int]:
    """The rows that a part's windows read of the image, its padding written into the part."""
    start, stop, size = window_rows(region.windows[_copied_from(copy)], first, last)
    dim, rank = region.axis - 2, region.spatial(_copied_from(copy))
    before = next((list(a.ints) for a in copy.attribute if a.name == "pads"), [0] * 2 * rank)
    before[dim], before[dim + rank] = max(0, -start), max(0, stop - size)
    _set(copy, "pads", before)
    return max(0, start), min(size, stop)


def _copied_from(copy: Any) -> str:
    """Of the node that a part was copied from."""
    return copy.output[0].rpartition("/")[0]


def _set(node: Any, name: str, value: Sequence[int]) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name not in (name, "ceil_mode", "auto_pad")]
    del node.attribute[:]
    node.attribute.extend([*kept, require("onnx").helper.make_attribute(name, value)])
