"""The profile of a graph: a row a node, and totals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from partwise.errors import GraphError, InputError
from partwise.ir import Graph, graph_digest
from partwise.ir.dims import holds
from partwise.profiling.cost import Cost, node_cost
from partwise.profiling.liveness import state_views, timeline

__all__ = ["MOST_BYTES", "Profile", "Unknown", "bind", "profile"]

MOST_BYTES = 1 << 60
"""Of all tensors of a graph together, each counted once: sums of a few of them still fit 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """An operator of the graph whose cost is not known in full."""

    op: str
    why: str
    nodes: int
    bytes: int
    """That its nodes are known to move."""
    share: float
    """Of the bytes that the whole graph moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a graph costs at given sizes."""

    graph: str
    """Digest of the graph."""
    sizes: dict[str, int]
    nodes: tuple[Cost, ...] = field(repr=False)
    parameters: int
    """Elements of the trainable weights, each tensor once however often it is tied."""
    weight_bytes: int
    """Bytes of all weights, buffers included."""
    peak_bytes: int
    """Weights and the highest sum of activations alive at once."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole graph."""
        return sum(cost.macs for cost in self.nodes)

    @property
    def flops(self) -> int:
        """FLOPs of the whole graph: 2 a multiply-accumulate."""
        return 2 * self.macs

    @property
    def traffic_bytes(self) -> int:
        """Bytes read and written by all nodes, each run alone."""
        return sum(cost.traffic_bytes for cost in self.nodes)

    @property
    def unknown(self) -> tuple[Unknown, ...]:
        """Operators whose cost is not known in full, the largest share first."""
        total, found = self.traffic_bytes or 1, dict[tuple[str, str], list[int]]()
        for cost in self.nodes:
            if cost.unknown:
                found.setdefault((cost.op, cost.unknown), []).append(cost.traffic_bytes)
        rows = [
            Unknown(op=op, why=why, nodes=len(moved), bytes=sum(moved), share=sum(moved) / total)
            for (op, why), moved in found.items()
        ]
        return tuple(sorted(rows, key=lambda row: (-row.bytes, row.op)))


def profile(graph: Graph, sizes: Mapping[str, int] | None = None) -> Profile:
    """Count a graph's work and memory.

    Args:
        graph: a captured graph.
        sizes: values for some of its symbols (`{"batch": 8}`); the others keep the values of the capture.

    Raises:
        InputError: a symbol that the graph does not have, or a size below 1.
        UnsupportedOpError: an operator without a row.
        GraphError: a tensor of a negative size here, or of more bytes than anything has.
    """
    bindings = bind(graph, sizes)
    sizes_of, states = graph.sizes(bindings), state_views(graph)
    _refuse_absurd(sizes_of)
    activations = timeline(graph, range(len(graph.nodes)), graph.inputs, graph.ends, bindings).peak_bytes
    weight_bytes = sum(sizes_of[w.tensor] for w in graph.weights)
    return Profile(
        graph=graph_digest(graph),
        sizes=bindings,
        nodes=tuple(node_cost(graph, index, bindings, sizes_of, states) for index in range(len(graph.nodes))),
        parameters=sum(graph.spec[w.tensor].elements(bindings) for w in graph.weights if w.trainable),
        weight_bytes=weight_bytes,
        peak_bytes=weight_bytes + activations,
    )


def _refuse_absurd(sizes_of: Mapping[str, int]) -> None:
    if wrong := next((name for name, size in sizes_of.items() if size < 0), None):
        raise GraphError(f"tensor `{wrong}`", "has a negative size here", hint="is a size too small for this model?")
    if sum(sizes_of.values()) > MOST_BYTES:
        largest = max(sizes_of, key=sizes_of.__getitem__)
        got = f"{float(min(sizes_of[largest], 10**300)):.3g} bytes"
        expected = f"≤ {MOST_BYTES:.3g} bytes in all tensors together"
        raise GraphError(f"tensor `{largest}`", "is absurdly large", expected=expected, got=got)


def bind(graph: Graph, sizes: Mapping[str, int] | None) -> dict[str, int]:
    """The value of every symbol of the graph: the given one, else the one asked for at capture.

    Raises:
        InputError: a symbol that the graph does not have, a size below 1, or sizes that its conditions exclude.
    """
    known = graph.hints
    for name, value in (sizes or {}).items():
        if name not in known:
            listed = ", ".join(sorted(known)) or "none: its sizes are fixed"
            raise InputError(f"size `{name}`", "the graph has no such symbol", expected=listed)
        if value < 1:
            raise InputError(f"size `{name}`", "must be at least 1", got=value)
    bindings = known | dict(sizes or {})
    if sizes and (broken := [text for text in graph.conditions if not holds(text, bindings)]):
        given = ", ".join(f"{name}={value}" for name, value in bindings.items())
        raise InputError(f"sizes {given}", "the graph was captured for others", expected=broken[0])
    return bindings
