"""Bodies of If, Loop and Scan: what they capture, and their weights moved out to where the store sees them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

__all__ = ["body_attributes", "captures", "lift_weights", "subgraphs"]

_LIFTED_BYTES = 1024
"""Smaller initializers of a body stay in it: they are literals."""


def subgraphs(graph: Any) -> Iterator[Any]:
    """A graph and every graph inside it, outermost first."""
    yield graph
    for node in graph.node:
        for _, body in body_attributes(node):
            yield from subgraphs(body)


def body_attributes(node: Any) -> Iterator[tuple[str, Any]]:
    """(attribute's name, graph) of each body that a node holds."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.name, attribute.g
        yield from ((attribute.name, graph) for graph in attribute.graphs)


def captures(graph: Any) -> tuple[str, ...]:
    """Names that a body reads and does not define: values of the graphs around it. First use first, each once."""
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    known |= {tensor.values.name for tensor in graph.sparse_initializer}
    found: dict[str, None] = {}
    for node in graph.node:
        inner = (name for _, body in body_attributes(node) for name in captures(body))
        found.update(dict.fromkeys(name for name in (*node.input, *inner) if name and name not in known))
        known.update(node.output)
    found.update(dict.fromkeys(value.name for value in graph.output if value.name not in known))
    return tuple(found)


def lift_weights(graph: Any) -> None:
    """Move the large initializers of bodies to the outermost graph, under names that nobody else has.

    A weight inside a body would be bytes inside a segment's graph; outside it is a blob like any other.
    """
    taken = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    taken |= {name for inner in subgraphs(graph) for node in inner.node for name in node.output}
    for body in [inner for inner in subgraphs(graph) if inner is not graph]:
        large = [t for t in body.initializer if t.data_location == 1 or t.ByteSize() > _LIFTED_BYTES]
        moved = {tensor.name for tensor in large}
        for tensor in large:
            name = _free_name(tensor.name, taken)
            _rename(body, tensor.name, name)
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = name
            taken.add(name)
        kept = [deepcopy(tensor) for tensor in body.initializer if tensor.name not in moved]
        del body.initializer[:]
        body.initializer.extend(kept)


def _free_name(name: str, taken: set[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}.{number}"
    return candidate


def _rename(body: Any, old: str, new: str) -> None:
    """Make a body, and the bodies in it that do not hide the name, read another name."""
    if old == new:
        return
    for node in body.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = new
        for _, inner in body_attributes(node):
            if old in captures(inner):
                _rename(inner, old, new)
    for value in body.output:
        if value.name == old:
            body.node.add(op_type="Identity", input=[new], output=[old])
