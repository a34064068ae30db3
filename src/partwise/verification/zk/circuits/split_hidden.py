"""Two products with what stands between them element by element, in parts of the hidden dim: a feed-forward block.

A part takes the whole input, computes some hidden elements and what they add to the output; the parts add up one after
the other, so that hidden elements never cross a boundary and no part reads more than one sum. In integer mode the sums
are the very same integers; in floats the order of a sum changes.
"""

from __future__ import annotations

from typing import Any

from partwise.errors import InputError, UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.split import (
    ELEMENTWISE,
    dealt,
    find_node,
    hold_constants,
    output_axis,
    replaced,
    sliced,
)

__all__ = ["split_hidden"]


def split_hidden(model: bytes, first: str, second: str, parts: int) -> bytes:
    """A model in which two products are parts that add up to `<second's output>/sum/<part>`.

    Args:
        model: ONNX.
        first: name, or first output, of a MatMul or Gemm with a constant weight.
        second: of the one that reads the hidden dim.
        parts: in how many; the hidden elements are dealt out as evenly as possible.

    Raises:
        InputError: no such nodes, or more parts than hidden elements.
        UnsupportedOpError: something between them is not computed element by element.
    """
    onnx = require("onnx")
    proto = onnx.load_from_string(model)
    hold_constants(proto.graph)
    opening, closing = (proto.graph.node[find_node(proto.graph, name)] for name in (first, second))
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    axis, inner = output_axis(opening, held), _inner_axis(closing, held)
    size = held[opening.input[1]].shape[axis]
    if not 1 < parts <= size or held[closing.input[1]].shape[inner] != size:
        raise InputError(f"nodes `{first}` and `{second}`", "cannot be split so", expected=f"2 to {size} parts",
                         got=parts)  # fmt: skip
    between = _between(proto.graph, opening, closing)
    made = list[Any]()
    for number, piece in enumerate(dealt(size, parts)):
        part = _part([opening, *between, closing], number)
        _slice_product(proto, part[0], (axis, piece), number)
        for node in part[1:-1]:
            _slice_constants(proto, node, held, size, piece)
        _slice_product(proto, part[-1], (inner, piece), number, whole_bias=True)
        made.extend(part)
        made.append(_summed(closing, number, is_last=number == parts - 1))
    replaced(proto.graph, [opening, *between, closing], made)
    return proto.SerializeToString(deterministic=True)


def _inner_axis(node: Any, held: dict[str, Any]) -> int:
    """Of the weight: the axis that is summed over."""
    if node.op_type not in ("Gemm", "MatMul"):
        raise UnsupportedOpError(f"node `{node.name}`", f"{node.op_type} is no product of a vector and a matrix")
    return 1 - output_axis(node, held)


def _between(graph: Any, opening: Any, closing: Any) -> list[Any]:
    """The nodes between two products, in order; each reads and is read only there."""
    constants = {tensor.name for tensor in graph.initializer}
    inside, found = {opening.output[0]}, list[Any]()
    for node in graph.node:
        if not inside & set(node.input) or node.output[0] == closing.output[0]:
            continue
        if node.op_type not in ELEMENTWISE or set(node.input) - inside - constants:
            raise UnsupportedOpError(f"node `{node.name}`", f"{node.op_type} is not computed for each hidden element")
        inside.add(node.output[0])
        found.append(node)
    if closing.input[0] not in inside or inside & {output.name for output in graph.output}:
        raise UnsupportedOpError(f"node `{closing.name}`", f"does not follow `{opening.name}` alone")
    return found


def _part(nodes: list[Any], number: int) -> list[Any]:
    """Copies of nodes under names of their own."""
    renamed = {node.output[0]: f"{node.output[0]}/{number}" for node in nodes}
    made = list[Any]()
    for node in nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        copy.name, copy.output[0] = f"{node.name}/{number}", renamed[node.output[0]]
        for place, name in enumerate(node.input):
            copy.input[place] = renamed.get(name, name)
        made.append(copy)
    return made


def _slice_product(proto: Any, node: Any, piece: tuple[int, slice], number: int, *, whole_bias: bool = False) -> None:
    """Its weight's slice; its bias with it, or whole and in the first part alone."""
    node.input[1] = sliced(proto, node.input[1], piece)
    if len(node.input) < 3 or not node.input[2]:
        return
    if not whole_bias:
        node.input[2] = sliced(proto, node.input[2], (-1, piece[1]))
    elif number:
        del node.input[2]


def _slice_constants(proto: Any, node: Any, held: dict[str, Any], size: int, piece: slice) -> None:
    for place, name in enumerate(node.input):
        if name in held and held[name].ndim and held[name].shape[-1] == size:
            node.input[place] = sliced(proto, name, (-1, piece))


def _summed(closing: Any, number: int, *, is_last: bool) -> Any:
    """What the parts so far add up to."""
    onnx, output = require("onnx"), closing.output[0]
    made = output if is_last else f"{output}/sum/{number}"
    if not number:
        return onnx.helper.make_node("Identity", [f"{output}/0"], [made], name=f"{closing.name}/sum/0")
    return onnx.helper.make_node(
        "Add", [f"{output}/sum/{number - 1}", f"{output}/{number}"], [made], name=f"{closing.name}/sum/{number}"
    )
