"""A model's nodes in the order that is cheapest to prove: the maximum first, where there are most elements.

A Relu and a bias of each channel are monotonic, so they give the same after the maximum, on a quarter of the elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from partwise.extras import require

__all__ = ["pool_first"]


def pool_first(graph: Any) -> None:
    """Put each MaxPool before the Relu and the bias that it alone follows.

    Args:
        graph: an ONNX graph; changed in place.
    """
    nodes = [_copy(node) for node in graph.node]
    returned = {output.name for output in graph.output}
    for pool in [node for node in nodes if node.op_type == "MaxPool" and len(node.output) == 1]:
        if (relu := _only_source(nodes, returned, pool, "Relu")) is not None:
            _swap(nodes, relu, pool)
        conv = _only_source(nodes, returned, pool, "Conv")
        if conv is not None and len(conv.input) == 3 and conv.input[2]:
            _bias_later(graph, nodes, conv, pool)
    del graph.node[:]
    graph.node.extend(nodes)


def _copy(node: Any) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    return copy


def _only_source(nodes: list[Any], returned: set[str], node: Any, op: str) -> Any | None:
    """The node of a kind that makes its input, if nothing else reads that."""
    name = node.input[0]
    readers = sum(list(other.input).count(name) for other in nodes)
    if readers != 1 or name in returned:
        return None
    return next((other for other in nodes if name in other.output and other.op_type == op), None)


def _swap(nodes: list[Any], first: Any, pool: Any) -> None:
    """first → pool becomes pool → first; the last value keeps its name."""
    source, between, last = first.input[0], f"{pool.output[0]}/pooled", pool.output[0]
    pool.input[0], pool.output[0] = source, between
    first.input[0], first.output[0] = between, last
    nodes.pop(_place(nodes, first))
    nodes.insert(_place(nodes, pool) + 1, first)


def _bias_later(graph: Any, nodes: list[Any], conv: Any, pool: Any) -> None:
    """The convolution without its bias, which is added to the maximum."""
    onnx = require("onnx")
    held = {tensor.name: tensor for tensor in graph.initializer}
    if conv.input[1] not in held or conv.input[2] not in held:
        return
    bias, spatial = onnx.numpy_helper.to_array(held[conv.input[2]]), len(held[conv.input[1]].dims) - 2
    name, between, last = f"{conv.name}/bias of channels", f"{pool.output[0]}/maximum", pool.output[0]
    shaped = np.ascontiguousarray(bias.reshape(1, -1, *([1] * spatial)))
    graph.initializer.append(onnx.numpy_helper.from_array(shaped, name))
    del conv.input[2]
    pool.output[0] = between
    added = onnx.helper.make_node("Add", [between, name], [last], name=f"{conv.name}/bias")
    nodes.insert(_place(nodes, pool) + 1, added)


def _place(nodes: list[Any], node: Any) -> int:
    return next(place for place, other in enumerate(nodes) if other is node)
