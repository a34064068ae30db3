"""One operator in several, each with a part of its outputs, so that each part can be a segment of its own.

By output channels (Conv) or outputs (Gemm, MatMul): the parts compute the very same values, and what follows channel
by channel (Relu, pooling; of a product of matrices anything element by element) goes with them; a Concat puts
each value that others read together again.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from partwise.errors import InputError, UnsupportedOpError
from partwise.extras import require

__all__ = [
    "ELEMENTWISE",
    "JOINED",
    "dealt",
    "find_node",
    "followers",
    "hold_constants",
    "output_axis",
    "replaced",
    "sliced",
    "split_operator",
    "unshare_joins",
]

ELEMENTWISE = frozenset("Add Cast Div Erf Gelu Identity Mul Relu Sigmoid Sub Tanh".split())
"""Operators that compute each element from its own place alone."""
JOINED = "/joined"
"""What the name of a node ends in that puts parts together."""
_CHANNELWISE = frozenset("Relu MaxPool AveragePool".split())


def split_operator(model: bytes, node: str, parts: int) -> bytes:
    """A model in which one product with constant weights is several.

    Args:
        model: ONNX.
        node: name, or first output, of a Conv, Gemm or MatMul.
        parts: in how many; the outputs are dealt out as evenly as possible.

    Raises:
        InputError: no such node, or more parts than outputs.
        UnsupportedOpError: it cannot be split by its outputs.
    """
    onnx = require("onnx")
    proto = onnx.load_from_string(model)
    hold_constants(proto.graph)
    target = proto.graph.node[find_node(proto.graph, node)]
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    axis = output_axis(target, held)
    size = held[target.input[1]].shape[axis]
    if not 1 < parts <= size:
        raise InputError(f"node `{node}`", "cannot be split so", expected=f"2 to {size} parts", got=parts)
    region = [target, *followers(proto.graph, target, held)]
    made = [
        copy
        for number, piece in enumerate(dealt(size, parts))
        for copy in _part(proto, region, held, (axis, piece), number)
    ]
    last = 1 if target.op_type == "Conv" else -1
    for value in _exits(proto.graph, region):
        names = [f"{value}/{number}" for number in range(parts)]
        made.append(onnx.helper.make_node("Concat", names, [value], name=value + JOINED, axis=last))
    replaced(proto.graph, region, made)
    return proto.SerializeToString(deterministic=True)


def unshare_joins(model: bytes) -> bytes:
    """A model in which each node that reads parts put together puts them together itself, just before, so that only
    parts cross. What takes parts of values reads what is there: both only move."""
    proto = require("onnx").load_from_string(model)
    joins = {node.output[0]: node for node in proto.graph.node if node.name.endswith(JOINED)}
    read = [name for node in proto.graph.node for name in set(node.input)]
    kept = {output.name for output in proto.graph.output}
    kept |= {name for node in proto.graph.node if node.op_type == "Slice" for name in node.input}
    shared = {name for name in joins if read.count(name) > 1 or name in kept}
    made = list[Any]()

    def private(name: str, reader: str) -> str:
        """The name under which one node alone reads what a join makes."""
        if name not in joins:
            return name
        join = _copied(joins[name])
        for place, part in enumerate(join.input):
            join.input[place] = private(part, reader)
        join.output[0] = f"{name}/for/{reader}" if name in shared else name
        join.name = join.output[0] + JOINED
        if all(node.output[0] != join.output[0] for node in made):
            made.append(join)
        return join.output[0]

    for node in proto.graph.node:
        is_join, copy = node.output[0] in joins, _copied(node)
        if is_join and node.output[0] not in kept:
            continue
        for place, name in enumerate(node.input):
            if not (name in kept and (is_join or node.op_type == "Slice")):
                copy.input[place] = private(name, node.output[0])
        made.append(copy)
    del proto.graph.node[:]
    proto.graph.node.extend(made)
    return proto.SerializeToString(deterministic=True)


def _copied(node: Any) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    return copy


def hold_constants(graph: Any) -> None:
    """Constant nodes as initializers, which parts share and slice."""
    onnx = require("onnx")
    for node in [node for node in graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]:
        held = onnx.TensorProto()
        held.CopyFrom(node.attribute[0].t)
        held.name = node.output[0]
        graph.initializer.append(held)
        graph.node.remove(node)


def find_node(graph: Any, name: str) -> int:
    """Its place by its name or its first output.

    Raises:
        InputError: there is none.
    """
    place = next((i for i, n in enumerate(graph.node) if name in (n.name, n.output[0])), None)
    if place is None:
        known = ", ".join(n.name or n.output[0] for n in graph.node)
        raise InputError(f"node `{name}`", "the model has no such node", expected=known)
    return place


def output_axis(node: Any, held: dict[str, Any]) -> int:
    """Of the weight: the axis that counts outputs."""
    attributes = {a.name: require("onnx").helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in held:
        raise UnsupportedOpError(f"node `{node.name}`", f"{node.op_type} has no constant weight to split")
    if node.op_type == "Conv":
        if attributes.get("group", 1) != 1:
            raise UnsupportedOpError(f"node `{node.name}`", "is a convolution in groups")
        return 0
    return 0 if node.op_type == "Gemm" and attributes.get("transB") else held[node.input[1]].ndim - 1


def dealt(size: int, parts: int) -> list[slice]:
    """So many consecutive parts, as even as possible."""
    ends = [size * part // parts for part in range(parts + 1)]
    return [slice(first, last) for first, last in pairwise(ends)]


def followers(graph: Any, target: Any, held: dict[str, Any]) -> list[Any]:
    """The nodes that work on each of a product's outputs alone, in order: all that they compute with is among them."""
    size = held[target.input[1]].shape[output_axis(target, held)]
    allowed = _CHANNELWISE if target.op_type == "Conv" else ELEMENTWISE
    inside, found = {target.output[0]}, list[Any]()
    for node in graph.node:
        computed = [name for name in node.input if name not in held]
        if node.op_type not in allowed or not computed or set(computed) - inside or len(node.output) != 1:
            continue
        if all(_broadcasts(held[name], size) for name in node.input if name in held):
            inside.add(node.output[0])
            found.append(node)
    return found


def _broadcasts(constant: Any, size: int) -> bool:
    """Whether it is one number for all outputs, or one for each."""
    return constant.ndim == 0 or constant.shape[-1] == size or constant.size == 1


def _exits(graph: Any, region: list[Any]) -> list[str]:
    """Values of a region that others read or that leave the model."""
    made = {node.output[0] for node in region}
    read = {name for node in graph.node if node.output[0] not in made for name in node.input}
    read |= {output.name for output in graph.output}
    return [node.output[0] for node in region if node.output[0] in read]


def _part(proto: Any, region: list[Any], held: dict[str, Any], piece: tuple[int, slice], number: int) -> list[Any]:
    """One part of a product and of what follows it, under names of its own."""
    inside, made = {node.output[0] for node in region}, list[Any]()
    for node in region:
        copy = _copied(node)
        copy.name, copy.output[0] = f"{node.name}/{number}", f"{node.output[0]}/{number}"
        for place, name in enumerate(node.input):
            if name in inside:
                copy.input[place] = f"{name}/{number}"
            elif name in held:
                copy.input[place] = sliced(proto, name, piece if not made and place == 1 else (-1, piece[1]), number)
        made.append(copy)
    return made


def sliced(proto: Any, name: str, piece: tuple[int, slice], number: int | str) -> str:
    """A slice of a weight along an axis; a bias along its last, whole where it is one for all."""
    onnx = require("onnx")
    array = onnx.numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == name))
    axis, part = piece
    if array.ndim == 0 or array.shape[axis] == 1:
        return name
    made = f"{name}/{number}"
    if all(tensor.name != made for tensor in proto.graph.initializer):
        kept = np.moveaxis(np.moveaxis(array, axis, 0)[part], 0, axis)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(kept), made))
    return made


def replaced(graph: Any, old: list[Any], new: list[Any]) -> None:
    """Put nodes in the place of others, and drop the weights that nothing reads any more."""
    names = {node.output[0] for node in old}
    kept = [node for node in graph.node if node.output[0] not in names]
    first = next(place for place, node in enumerate(graph.node) if node.output[0] in names)
    before = [node for node in list(graph.node)[:first] if node.output[0] not in names]
    ordered = [*before, *new, *kept[len(before) :]]
    used = {name for node in ordered for name in node.input}
    weights = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(ordered)
    graph.initializer.extend(weights)
