"""One operator in several, each with a part of its outputs, so that each part can be a segment of its own.

By output channels (Conv) or outputs (Gemm, MatMul): the parts compute the very same values, and what follows channel
by channel (Relu, pooling) goes with them; a Concat puts them together again.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from partwise.errors import InputError, UnsupportedOpError
from partwise.extras import require

__all__ = ["dealt", "find_node", "output_axis", "replaced", "sliced", "split_operator"]

_FOLLOWS = frozenset("Relu MaxPool AveragePool".split())


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
    place = find_node(proto.graph, node)
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    target = proto.graph.node[place]
    axis = output_axis(target, held)
    size = held[target.input[1]].shape[axis]
    if not 1 < parts <= size:
        raise InputError(f"node `{node}`", "cannot be split so", expected=f"2 to {size} parts", got=parts)
    chain = _chain(proto.graph, place)
    made = [_part(proto, target, chain, (axis, piece), number) for number, piece in enumerate(dealt(size, parts))]
    last = (chain[-1] if chain else target).output[0]
    joined = onnx.helper.make_node(
        "Concat", [nodes[-1].output[0] for nodes in made], [last], name=f"{last}/joined", axis=1
    )
    replaced(proto.graph, [target, *chain], [node for nodes in made for node in nodes] + [joined])
    return proto.SerializeToString(deterministic=True)


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


def _chain(graph: Any, place: int) -> list[Any]:
    """The nodes after it that work on each channel alone, as long as nothing else reads a value between."""
    returned = {output.name for output in graph.output}
    found, last = list[Any](), graph.node[place].output[0]
    while last not in returned:
        readers = [node for node in graph.node if last in node.input]
        if len(readers) != 1 or readers[0].op_type not in _FOLLOWS or len(readers[0].output) != 1:
            break
        found.append(readers[0])
        last = readers[0].output[0]
    return found


def _part(proto: Any, target: Any, chain: list[Any], piece: tuple[int, slice], number: int) -> list[Any]:
    """One part of a node and of what follows it, under names of its own."""
    made, before = list[Any](), target.input[0]
    for node in (target, *chain):
        copy = type(node)()
        copy.CopyFrom(node)
        copy.name, copy.output[0] = f"{node.name}/{number}", f"{node.output[0]}/{number}"
        copy.input[0] = before
        before = copy.output[0]
        made.append(copy)
    for place in range(1, len(target.input)):
        if target.input[place]:
            made[0].input[place] = sliced(proto, target.input[place], piece if place == 1 else (-1, piece[1]), number)
    return made


def sliced(proto: Any, name: str, piece: tuple[int, slice], number: int) -> str:
    """A slice of a weight along an axis; a bias along its last, whole where it is one for all."""
    onnx = require("onnx")
    array = onnx.numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == name))
    axis, part = piece
    if array.ndim == 0 or array.shape[axis] == 1:
        return name
    kept = np.moveaxis(np.moveaxis(array, axis, 0)[part], 0, axis)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(kept), f"{name}/{number}"))
    return f"{name}/{number}"


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
