"""A product along its inputs, as partial products of parts of the input that add up one after the other.

The parts are those that the input is put together of, or as many as asked for. No part reads more of the input than
its own; the bias comes after the last sum. In integer mode the sums are the very same integers; in floats the order of
a sum changes.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from partwise.errors import InputError, UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.row_region import shapes_of
from partwise.verification.zk.circuits.split import (
    JOINED,
    dealt,
    find_node,
    hold_constants,
    output_axis,
    replaced,
    sliced,
)
from partwise.verification.zk.circuits.split_rows import Takes

__all__ = ["split_inner"]


def split_inner(model: bytes, node: str, parts: int | None = None) -> bytes:
    """A model in which one product is several: `<output>/inner/<part>`, `<output>/sum/<part>`.

    Args:
        model: ONNX with static shapes.
        node: name, or first output, of a Conv, Gemm or MatMul with a constant weight.
        parts: in how many; None for those that the Concat that it reads puts together.

    Raises:
        InputError: no such node, or more parts than inputs.
        UnsupportedOpError: it is another operator, or its input is not put together of parts of known size.
    """
    onnx = require("onnx")
    proto = onnx.load_from_string(model)
    hold_constants(proto.graph)
    target = proto.graph.node[find_node(proto.graph, node)]
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    axis = _inner_axis(target, held)
    shapes = shapes_of(proto)
    takes = Takes(proto, _inner_dim(target, shapes), shapes)
    found = (
        _joined(proto, target, shapes)
        if parts is None
        else _dealt(target, takes, held[target.input[1]].shape[axis], parts)
    )
    target = _copied(target)
    made, output = [*takes.slices, *takes.joined], target.output[0]
    bias = _spread(proto, target) if len(target.input) > 2 and target.input[2] else ""
    for number, (source, piece) in enumerate(found):
        copy = _copied(target)
        copy.name = copy.output[0] = f"{output}/inner/{number}"
        copy.input[0], copy.input[1] = source, sliced(proto, target.input[1], (axis, piece), f"inner/{number}")
        del copy.input[2:]
        made.append(copy)
        if number:
            before = f"{output}/inner/0" if number == 1 else f"{output}/sum/{number - 1}"
            is_last = number == len(found) - 1 and not bias
            total = output if is_last else f"{output}/sum/{number}"
            made.append(onnx.helper.make_node("Add", [before, copy.output[0]], [total], name=total))
    if bias:
        made.append(onnx.helper.make_node("Add", [f"{output}/sum/{len(found) - 1}", bias], [output], name=output))
    replaced(proto.graph, [target], made)
    proto.graph.initializer.extend(takes.constants)
    _drop_unread(proto.graph, target.input[0])
    return proto.SerializeToString(deterministic=True)


def _inner_dim(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    """Of the input: the dim that is summed over, counted from 0."""
    return 1 if node.op_type == "Conv" else len(shapes[node.input[0]]) - 1


def _inner_axis(node: Any, held: dict[str, Any]) -> int:
    """Of the weight: the axis that is summed over."""
    attributes = {a.name: require("onnx").helper.get_attribute_value(a) for a in node.attribute}
    is_scaled = attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1 or attributes.get("transA")
    if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in held or is_scaled:
        raise UnsupportedOpError(f"node `{node.name}`", f"{node.op_type} is no plain product with a constant weight")
    return 1 - output_axis(node, held)


def _dealt(target: Any, takes: Takes, size: int, parts: int) -> list[tuple[str, slice]]:
    """So many parts of the input, with the places of each."""
    if not 1 < parts <= size:
        raise InputError(f"node `{target.name}`", "cannot be split so", expected=f"2 to {size} parts", got=parts)
    return [(takes.take(target.input[0], piece.start, piece.stop), piece) for piece in dealt(size, parts)]


def _spread(proto: Any, target: Any) -> str:
    """The bias as a sum takes it: a convolution's with its spatial dims."""
    name = target.input[2]
    if target.op_type != "Conv":
        return name
    onnx = require("onnx")
    held = {tensor.name: tensor for tensor in proto.graph.initializer}
    made, spatial = f"{name}/of channels", len(held[target.input[1]].dims) - 2
    shaped = onnx.numpy_helper.to_array(held[name]).reshape(1, -1, *([1] * spatial))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(shaped), made))
    return made


def _joined(proto: Any, target: Any, shapes: dict[str, tuple[int, ...]]) -> list[tuple[str, slice]]:
    """What the input is put together of, with the places of each part."""
    joined = next((node for node in proto.graph.node if node.output[0] == target.input[0]), None)
    if joined is None or not joined.name.endswith(JOINED) or any(name not in shapes for name in joined.input):
        raise UnsupportedOpError(f"node `{target.name}`", "does not read parts put together")
    axis, along = _inner_dim(target, shapes), next(a.i for a in joined.attribute if a.name == "axis")
    if along % len(shapes[target.input[0]]) != axis:
        raise UnsupportedOpError(f"node `{target.name}`", "reads parts put together along another dim")
    ends = accumulate((shapes[name][axis] for name in joined.input), initial=0)
    return [(name, slice(*ends)) for name, ends in zip(joined.input, pairwise(ends), strict=True)]


def _drop_unread(graph: Any, value: str) -> None:
    """Take the node out that put the parts together, where nothing else reads what it made."""
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    for node in [node for node in graph.node if node.output[0] == value and value not in read]:
        graph.node.remove(node)


def _copied(node: Any) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    return copy
