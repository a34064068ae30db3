"""Take out what no result needs: dead nodes, unread weights, their specifications and unused symbols' traces."""

from __future__ import annotations

from dataclasses import replace

from partwise.ir.graph import Graph

__all__ = ["prune"]


def prune(graph: Graph) -> Graph:
    """The same graph without what neither an output nor kept state depends on. Inputs all stay."""
    needed = {*graph.ends, *(mutation.target for mutation in graph.mutations)}
    kept = list[int]()
    for index in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[index]
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(index)
    nodes = tuple(graph.nodes[index] for index in reversed(kept))
    defined = needed.union(graph.inputs, *(node.outputs for node in nodes))
    return replace(
        graph,
        nodes=nodes,
        weights=tuple(w for w in graph.weights if w.tensor in needed),
        constants=tuple(c for c in graph.constants if c.tensor in needed),
        tensors=tuple(t for t in graph.tensors if t.name in defined),
    )
