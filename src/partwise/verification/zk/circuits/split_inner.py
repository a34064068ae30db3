"""A product whose input is parts put together, as partial products of each part that add up one after the other.

No part reads more of the input than its own; the bias comes after the last sum. In integer mode the sums are the very
same integers; in floats the order of a sum changes.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

from partwise.errors import UnsupportedOpError
from partwise.extras import require
from partwise.verification.zk.circuits.split import JOINED, find_node, output_axis, replaced, sliced

__all__ = ["split_inner"]


def split_inner(model: bytes, node: str) -> bytes:
    """A model in which one product is as many as its input has parts: `<output>/inner/<part>`, `<output>/sum/<part>`.

    Args:
        model: ONNX.
        node: name, or first output, of a Gemm or MatMul with a constant weight that reads a Concat of
            `split_operator`.

    Raises:
        InputError: no such node.
        UnsupportedOpError: it is another operator, or its input is not put together of parts of known size.
    """
    onnx = require("onnx")
    proto = onnx.load_from_string(model)
    target = proto.graph.node[find_node(proto.graph, node)]
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    axis, parts = _inner_axis(target, held), _parts(proto, target)
    target = _copied(target)
    made, output = list[Any](), target.output[0]
    bias = target.input[2] if len(target.input) > 2 else ""
    for number, (source, piece) in enumerate(parts):
        copy = _copied(target)
        copy.name = copy.output[0] = f"{output}/inner/{number}"
        copy.input[0], copy.input[1] = source, sliced(proto, target.input[1], (axis, piece), f"inner/{number}")
        del copy.input[2:]
        made.append(copy)
        if number:
            before = f"{output}/inner/0" if number == 1 else f"{output}/sum/{number - 1}"
            is_last = number == len(parts) - 1 and not bias
            total = output if is_last else f"{output}/sum/{number}"
            made.append(onnx.helper.make_node("Add", [before, copy.output[0]], [total], name=total))
    if bias:
        made.append(onnx.helper.make_node("Add", [f"{output}/sum/{len(parts) - 1}", bias], [output], name=output))
    replaced(proto.graph, [target], made)
    _drop_unread(proto.graph, target.input[0])
    return proto.SerializeToString(deterministic=True)


def _inner_axis(node: Any, held: dict[str, Any]) -> int:
    """Of the weight: the axis that is summed over."""
    attributes = {a.name: require("onnx").helper.get_attribute_value(a) for a in node.attribute}
    is_scaled = attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1 or attributes.get("transA")
    if node.op_type not in ("Gemm", "MatMul") or node.input[1] not in held or is_scaled:
        raise UnsupportedOpError(f"node `{node.name}`", f"{node.op_type} is no plain product with a constant weight")
    return 1 - output_axis(node, held)


def _parts(proto: Any, target: Any) -> list[tuple[str, slice]]:
    """What the input is put together of, with the places of each part."""
    inferred = require("onnx").shape_inference.infer_shapes(proto).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*inferred.value_info, *inferred.input)}
    joined = next((node for node in proto.graph.node if node.output[0] == target.input[0]), None)
    if joined is None or not joined.name.endswith(JOINED) or any(name not in shapes for name in joined.input):
        raise UnsupportedOpError(f"node `{target.name}`", "does not read parts put together")
    ends = accumulate((shapes[name][-1].dim_value for name in joined.input), initial=0)
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
