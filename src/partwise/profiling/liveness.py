"""Memory over time: which values are alive while a part of a graph runs.

A value is alive from its making (for a received one: from the start) to its last use in the part; one that
leaves the part stays alive to the end. A view owns nothing and keeps what it looks at alive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from partwise.ir import Graph, storage_roots

__all__ = ["Lifetime", "Timeline", "lifetimes", "peak_bytes", "state_views", "storage_roots", "timeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """One value's memory."""

    tensor: str
    born: int
    """Step at which it is made, or 0 for a received one."""
    last: int
    """Step of its last use; the number of steps where it outlives the part."""
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Activation bytes alive while each node of a part runs."""

    nodes: tuple[int, ...]
    alive_bytes: tuple[int, ...]
    """At each step; with what the node's kernel takes beside the values, if that was given."""
    peak_bytes: int
    """Highest of `alive_bytes`, or of the received values before the first node."""
    peak_step: int
    """Step of the peak, the first if there are several."""
    values: tuple[Lifetime, ...] = field(repr=False)
    """The memories behind it, received ones first, then in the order of their making."""

    def at(self, step: int) -> tuple[Lifetime, ...]:
        """What is alive while a step runs, the largest first."""
        alive = [value for value in self.values if value.born <= step <= value.last]
        return tuple(sorted(alive, key=lambda value: -value.bytes))


def state_views(graph: Graph) -> dict[str, str]:
    """The K/V buffers of a graph, before and after they are written, and all views of them: the buffer of each."""
    if not graph.writes:
        return {}
    buffers = {*graph.writes.values(), *(output for index in graph.writes for output in graph.nodes[index].outputs)}
    return {name: root for name, root in storage_roots(graph).items() if root in buffers}


def lifetimes(
    graph: Graph,
    nodes: Sequence[int],
    received: Iterable[str],
    sent: Iterable[str],
    bindings: Mapping[str, int],
    roots: Mapping[str, str],
) -> tuple[Lifetime, ...]:
    """When each memory is alive while `nodes` run in this order; the arguments are those of `timeline`."""
    born, last = _lives(graph, nodes, received, sent, roots)
    sizes = graph.sizes(bindings)
    return tuple(Lifetime(tensor=name, born=step, last=last[name], bytes=sizes[name]) for name, step in born.items())


def peak_bytes(
    graph: Graph,
    nodes: Sequence[int],
    received: Iterable[str],
    sent: Iterable[str],
    bindings: Mapping[str, int],
    roots: Mapping[str, str],
    apart: Collection[str] = (),
) -> int:
    """`timeline(...).peak_bytes`, without the record of every value; memories that are `apart` count elsewhere."""
    born, last = _lives(graph, nodes, received, sent, roots)
    sizes, change = graph.sizes(bindings), [0] * (len(nodes) + 2)
    for name, step in born.items():
        size = 0 if name in apart else sizes[name]
        change[step] += size
        change[last[name] + 1] -= size
    if not nodes:
        return change[0]
    return max(accumulate(change[: len(nodes)]))


def _lives(
    graph: Graph, nodes: Sequence[int], received: Iterable[str], sent: Iterable[str], roots: Mapping[str, str]
) -> tuple[dict[str, int], dict[str, int]]:
    """The step at which each memory is made, and that of its last use."""
    end, reads, made = len(nodes), graph.reads, graph.nodes
    born = {roots[name]: 0 for name in received}
    last = dict.fromkeys(born, end)
    for step, index in enumerate(nodes):
        for name in reads[index]:
            last[roots[name]] = step
        for name in made[index].outputs:
            if roots[name] == name:
                born.setdefault(name, step)
                last[name] = step
    for name in sent:
        last[roots[name]] = end
    return born, last


def timeline(
    graph: Graph,
    nodes: Sequence[int],
    received: Iterable[str],
    sent: Iterable[str],
    bindings: Mapping[str, int],
    roots: Mapping[str, str] | None = None,
    workspaces: Mapping[int, int] | None = None,
) -> Timeline:
    """Activation memory while `nodes` run in this order; weights are not counted.

    Args:
        graph: the graph.
        nodes: indices in execution order.
        received: tensors that are there before the first node.
        sent: tensors that must outlive the last node.
        bindings: a value for each symbol.
        roots: `storage_roots(graph)`, when the caller has it already.
        workspaces: bytes that a node's kernel takes beside the values, by node.
    """
    values = lifetimes(graph, nodes, received, sent, bindings, storage_roots(graph) if roots is None else roots)
    change = [0] * (len(nodes) + 2)
    for value in values:
        change[value.born] += value.bytes
        change[value.last + 1] -= value.bytes
    extra = workspaces or {}
    alive = [now + extra.get(node, 0) for now, node in zip(accumulate(change), nodes, strict=False)]
    start = sum(value.bytes for value in values if value.born == 0) if not nodes else 0
    peak = max([start, *alive])
    return Timeline(
        nodes=tuple(nodes),
        alive_bytes=tuple(alive),
        peak_bytes=peak,
        peak_step=alive.index(peak) if nodes else 0,
        values=values,
    )
