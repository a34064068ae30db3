"""One part of a graph as a graph of its own: what a torch segment's file holds."""

from __future__ import annotations

from dataclasses import replace

from partwise.ir import Graph, Mutation, Output, Part, Weight

__all__ = ["segment_graph"]


def segment_graph(graph: Graph, part: Part, name: str) -> Graph:
    """The subgraph of a part: received tensors become inputs, given ones outputs under their own names.

    Args:
        graph: the whole.
        part: what `divide` made.
        name: the segment's name.
    """
    nodes = tuple(graph.nodes[index] for index in part.nodes)
    held = set(part.weights)
    weights = tuple(
        Weight(tensor=w.tensor, key=w.tensor, trainable=w.trainable) for w in graph.weights if w.tensor in held
    )
    known = {*part.inputs, *held, *(output for node in nodes for output in node.outputs)}
    return replace(
        graph,
        name=name,
        inputs=part.inputs,
        weights=weights,
        constants=tuple(c for c in graph.constants if c.tensor in held),
        outputs=tuple(Output(name=tensor, tensor=tensor) for tensor in part.outputs),
        mutations=tuple(
            Mutation(target=m.target, tensor=m.tensor) for m in graph.mutations if m.tensor in part.returned
        ),
        tensors=tuple(spec for spec in graph.tensors if spec.name in known),
        nodes=nodes,
        notes=(),
    )
