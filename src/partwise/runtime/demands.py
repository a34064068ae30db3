"""What each segment of a package needs of a worker, read off its manifest."""

from __future__ import annotations

from math import prod

from partwise.packaging import Package
from partwise.runtime.schedule import Demand

__all__ = ["demands_of"]


def demands_of(package: Package, *, layers: bool = False) -> tuple[Demand, ...]:
    """For each segment: its predicted peak, its parameters, its FLOPs.

    Args:
        package: an open package.
        layers: count nodes with weights too, for which the graph must be read.
    """
    counts = _layers(package) if layers else [0] * len(package.manifest.segments)
    return tuple(
        Demand(
            bytes=max(entry.peak_bytes, entry.weight_bytes),
            parameters=sum(prod(weight.shape) for weight in entry.weights),
            layers=count,
            work=float(max(entry.flops, 1)),
        )
        for entry, count in zip(package.manifest.segments, counts, strict=True)
    )


def _layers(package: Package) -> list[int]:
    """Nodes that read a weight, by segment; a weight that two segments share counts in both."""
    graph, segments = package.graph(), package.manifest.segments
    if graph is None:
        return [len(entry.weights) for entry in segments]
    held = [{weight.tensor for weight in entry.weights} for entry in segments]
    return [sum(not names.isdisjoint(node.inputs) for node in graph.nodes) for names in held]
