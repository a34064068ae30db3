"""The memory of a whole run: its timeline, its peak, and what is alive at the peak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from partwise.ir import Graph
from partwise.profiling.liveness import Timeline, storage_roots, timeline
from partwise.profiling.workspace import workspaces

__all__ = ["Alive", "Memory", "memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """Something that takes memory at the peak."""

    name: str
    """Of the tensor; of the node whose kernel takes a workspace."""
    bytes: int
    module: str
    """Where it is made; empty for an input of the model."""
    workspace: bool = False
    """Taken by the running kernel beside the values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a run takes, weights apart."""

    timeline: Timeline = field(repr=False)
    weight_bytes: int
    """Weights and buffers, which rest throughout."""
    peak_node: int
    """The node that runs at the peak."""
    alive: tuple[Alive, ...]
    """What is there at the peak, the largest first."""

    @property
    def activation_bytes(self) -> int:
        """The highest sum of what is alive at once."""
        return self.timeline.peak_bytes

    @property
    def peak_bytes(self) -> int:
        """Weights and activations at the peak."""
        return self.weight_bytes + self.activation_bytes


def memory(
    graph: Graph,
    sizes: Mapping[str, int],
    *,
    threads: int | None = None,
    inputs: bool = True,
) -> Memory:
    """A run's memory over time.

    Args:
        graph: a captured graph with at least one node.
        sizes: a value for each symbol: `Profile.sizes`.
        threads: of the torch engine on a CPU, to count what its kernels take beside the values; None: values alone.
        inputs: whether the model's inputs are counted; an allocator does not see what the caller owns.
    """
    extra = {} if threads is None else workspaces(graph, sizes, threads)
    nodes = range(len(graph.nodes))
    found = timeline(graph, nodes, graph.inputs if inputs else (), graph.ends, sizes, storage_roots(graph), extra)
    step = found.peak_step
    return Memory(
        timeline=found,
        weight_bytes=sum(graph.spec[weight.tensor].bytes(dict(sizes)) for weight in graph.weights),
        peak_node=step,
        alive=_alive(graph, found, extra.get(step, 0)),
    )


def _alive(graph: Graph, found: Timeline, workspace: int) -> tuple[Alive, ...]:
    step, makers = found.peak_step, graph.producer
    values = [
        Alive(name=v.tensor, bytes=v.bytes, module=graph.nodes[makers[v.tensor]].module if v.tensor in makers else "")
        for v in found.at(step)
        if v.bytes
    ]
    if workspace:
        node = graph.nodes[step]
        values.append(Alive(name=node.name, bytes=workspace, module=node.module, workspace=True))
    return tuple(sorted(values, key=lambda alive: -alive.bytes))
