"""Memory over time: which values are alive while a part of a graph runs.

A value is alive from its making (for a received one: from the start) to its last use in the part; one that
leaves the part stays alive to the end. A view owns nothing and keeps what it looks at alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from partwise.ir import Graph, Kind, operator

__all__ = ["Timeline", "storage_roots", "timeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Activation bytes alive while each node of a part runs."""

    nodes: tuple[int, ...]
    alive_bytes: tuple[int, ...]
    peak_bytes: int
    """Highest of `alive_bytes`, or of the received values before the first node."""


def storage_roots(graph: Graph) -> dict[str, str]:
    """For each tensor the one whose memory it looks at: itself unless a view made it."""
    roots = {name: name for name in graph.spec}
    for node in graph.nodes:
        if operator(node.op).kind is Kind.VIEW and node.inputs:
            roots.update(dict.fromkeys(node.outputs, roots[node.inputs[0]]))
    return roots


def timeline(
    graph: Graph,
    nodes: Sequence[int],
    received: Iterable[str],
    sent: Iterable[str],
    bindings: Mapping[str, int],
    roots: Mapping[str, str] | None = None,
) -> Timeline:
    """Activation memory while `nodes` run in this order; weights are not counted.

    Args:
        nodes: indices in execution order.
        received: tensors that are there before the first node.
        sent: tensors that must outlive the last node.
        bindings: a value for each symbol.
        roots: `storage_roots(graph)`, when the caller has it already.
    """
    roots = storage_roots(graph) if roots is None else roots
    sizes = dict(bindings)
    last = {roots[name]: step for step, i in enumerate(nodes) for name in graph.nodes[i].inputs}
    for step, i in enumerate(nodes):
        for name in graph.nodes[i].outputs:
            last.setdefault(roots[name], step)
    last.update({roots[name]: len(nodes) for name in sent})
    dying: dict[int, list[str]] = {}
    for root, step in last.items():
        dying.setdefault(step, []).append(root)
    alive = {roots[name] for name in received}
    now = sum(graph.spec[name].bytes(sizes) for name in alive)
    peak, steps = now, list[int]()
    for step, i in enumerate(nodes):
        for name in graph.nodes[i].outputs:
            if roots[name] == name and name not in alive:
                alive.add(name)
                now += graph.spec[name].bytes(sizes)
        steps.append(now)
        peak = max(peak, now)
        for root in dying.get(step, ()):
            if root in alive:
                alive.discard(root)
                now -= graph.spec[root].bytes(sizes)
    return Timeline(nodes=tuple(nodes), alive_bytes=tuple(steps), peak_bytes=peak)
