"""Which values may lie in memory in another order than their shape says: process groups send only those that do not.

A cautious reading of the graph, which records no strides: a transposition, a part of a value, an expansion and an
attention's result may; what is computed element by element from such a value may too; products, look-ups, layer
norms and joined values of up to three dims (images may keep their channels last) do not.
"""

from __future__ import annotations

from collections.abc import Iterator

from partwise.ir import Graph, Kind, Node, operator
from partwise.ir.arguments import Enum

__all__ = ["strided_spans"]

_ORDERED = frozenset({Kind.MATMUL, Kind.EMBEDDING, Kind.EXPERTS, Kind.FACTORY})
"""Results of their own in the order of their shape, whatever they read."""
_ORDERED_OPS = frozenset({"aten.layer_norm.default", "aten.cat.default", "aten.stack.default"})
_CONTIGUOUS = Enum(space="memory_format", name="contiguous_format")
_IMAGE_RANK = 4
_TURNING = frozenset({"transpose", "permute", "t", "movedim", "swapaxes", "as_strided", "unfold", "diagonal"})


def strided_spans(graph: Graph) -> Iterator[tuple[int, int]]:
    """First and last index of the nodes before which a value that may be strided would cross a cut."""
    returned = {output.tensor for output in graph.outputs}
    for name in sorted(_strided(graph)):
        readers = graph.consumers.get(name, ())
        last = len(graph.nodes) if name in returned else max(readers, default=-1)
        yield graph.producer[name] + 1, last


def _strided(graph: Graph) -> set[str]:
    found: set[str] = set()
    for node in graph.nodes:
        if _may_be_strided(graph, node, found):
            found.update(node.outputs)
    return found


def _may_be_strided(graph: Graph, node: Node, found: set[str]) -> bool:
    kind = operator(node.op).kind
    if kind in _ORDERED or _is_ordered(graph, node):
        return False
    if kind is Kind.ATTENTION or any(name in found for name in node.inputs):
        return True
    if kind is not Kind.VIEW or not node.inputs:
        return False
    sizes = {graph.spec[name].elements(graph.hints) for name in (node.inputs[0], *node.outputs)}
    return len(sizes) > 1 or node.op.split(".")[1] in _TURNING


def _is_ordered(graph: Graph, node: Node) -> bool:
    shape = graph.spec[node.outputs[0]].shape
    is_image = shape is None or len(shape) >= _IMAGE_RANK
    is_copied = node.keyword("memory_format") == _CONTIGUOUS
    return is_copied or (node.op in _ORDERED_OPS and not is_image)
