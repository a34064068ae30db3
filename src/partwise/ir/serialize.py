"""Graphs as JSON, and back with every field checked.

`graph_digest` is the sha256 of the canonical JSON: the graph's name everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from partwise.digest import canonical_json, sha256_digest
from partwise.errors import GraphError
from partwise.ir.arguments import decode, encode
from partwise.ir.check import check_graph
from partwise.ir.graph import Constant, Format, Graph, Mutation, Node, Output, Symbol, TensorSpec, Weight

__all__ = ["GRAPH_VERSION", "graph_digest", "graph_from_data", "graph_to_data"]

GRAPH_VERSION = "partwise.graph/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _NodeRow:
    op: str
    args: list[Any]
    kwargs: dict[str, Any]
    outputs: tuple[str, ...]
    module: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _GraphRow:
    version: str
    format: Format
    name: str
    settings: dict[str, str | int | float | bool | None]
    symbols: tuple[Symbol, ...]
    inputs: tuple[str, ...]
    weights: tuple[Weight, ...]
    constants: tuple[Constant, ...]
    outputs: tuple[Output, ...]
    mutations: tuple[Mutation, ...]
    conditions: tuple[str, ...]
    tensors: tuple[TensorSpec, ...]
    nodes: tuple[_NodeRow, ...]
    notes: tuple[str, ...]


def graph_to_data(graph: Graph) -> dict[str, Any]:
    """A graph as plain JSON data."""
    nodes = [_node_row(node) for node in graph.nodes]
    row = _GraphRow(
        version=GRAPH_VERSION,
        nodes=tuple(nodes),
        settings=dict(graph.settings),
        **{name: getattr(graph, name) for name in _SHARED_FIELDS},
    )
    return msgspec.to_builtins(row)


def graph_from_data(data: object, subject: str = "graph") -> Graph:
    """The graph in plain JSON data from anywhere, its invariants checked.

    Raises:
        GraphError: another format version, a field of the wrong type, or a broken invariant.
    """
    try:
        row = msgspec.convert(data, _GraphRow)
    except msgspec.ValidationError as error:
        raise GraphError(subject, f"not a graph file ({error})", expected=GRAPH_VERSION) from None
    if row.version != GRAPH_VERSION:
        raise GraphError(subject, "another version of the format", expected=GRAPH_VERSION, got=row.version)
    graph = Graph(
        settings=tuple(sorted(row.settings.items())),
        nodes=tuple(_node(node) for node in row.nodes),
        **{name: getattr(row, name) for name in _SHARED_FIELDS},
    )
    check_graph(graph, subject)
    return graph


def graph_digest(graph: Graph) -> str:
    """`sha256:…` of the graph's canonical JSON."""
    return sha256_digest(canonical_json(graph_to_data(graph)))


_SHARED_FIELDS = (
    "format", "name", "symbols", "inputs", "weights", "constants", "outputs", "mutations", "conditions",
    "tensors", "notes",
)  # fmt: skip


def _node_row(node: Node) -> _NodeRow:
    kwargs = {name: encode(value) for name, value in node.kwargs}
    args = [encode(value) for value in node.args]
    return _NodeRow(op=node.op, args=args, kwargs=kwargs, outputs=node.outputs, module=node.module)


def _node(row: _NodeRow) -> Node:
    args = tuple(decode(value) for value in row.args)
    kwargs = tuple((name, decode(value)) for name, value in sorted(row.kwargs.items()))
    return Node(op=row.op, args=args, kwargs=kwargs, outputs=row.outputs, module=row.module)
