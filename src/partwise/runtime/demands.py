"""What each segment of a package needs of a worker, read off its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import msgspec

from partwise.errors import GraphError, PackageError
from partwise.ir import TensorSpec
from partwise.packaging import Package, SegmentEntry
from partwise.runtime.schedule import Demand
from partwise.runtime.stage import Weights
from partwise.strict_json import json_record

__all__ = ["demand_of", "demands_of"]


class _Planned(msgspec.Struct, frozen=True):
    """What is read here of a plan."""

    sizes: dict[str, int] = {}


def demands_of(package: Package, *, layers: bool = False, weights: Weights = Weights.RESIDENT) -> tuple[Demand, ...]:
    """For each segment: its predicted peak, its parameters, its FLOPs.

    Args:
        package: an open package.
        layers: count nodes with weights too, for which the graph must be read.
        weights: when they are in memory.
    """
    counts = _layers(package) if layers else [0] * len(package.manifest.segments)
    sizes = _sizes(package) if weights is Weights.STREAMED else {}
    return tuple(
        demand_of(
            max(entry.peak_bytes, entry.weight_bytes),
            0 if weights is Weights.RESIDENT else _values(entry, sizes),
            weights,
            parameters=sum(prod(weight.shape) for weight in entry.weights),
            layers=count,
            work=float(max(entry.flops, 1)),
        )
        for entry, count in zip(package.manifest.segments, counts, strict=True)
    )


def demand_of(
    peak_bytes: int, value_bytes: int, weights: Weights, *, parameters: int, layers: int, work: float
) -> Demand:
    """What a stage needs: its peak as long as a worker has it, or where weights are streamed its values alone.

    Args:
        peak_bytes: weights, values, and what is between them.
        value_bytes: of its inputs and outputs: what may wait for a reader while another stage is computed.
        weights: when they are in memory.
        parameters: as in `Demand`.
        layers: likewise.
        work: likewise.
    """
    held = min(value_bytes, peak_bytes) if weights is Weights.STREAMED else peak_bytes
    return Demand(bytes=held, computing_bytes=peak_bytes - held, parameters=parameters, layers=layers, work=work)


def _sizes(package: Package) -> dict[str, int]:
    """The sizes that the peaks are planned at."""
    subject = f"plan of {package.path}"
    planned = json_record(package.plan_bytes(), _Planned, subject, what="is no plan", error=PackageError).sizes
    return {symbol.name: planned.get(symbol.name, symbol.hint) for symbol in package.manifest.symbols}


def _values(entry: SegmentEntry, sizes: Mapping[str, int]) -> int:
    """Bytes of a segment's inputs and outputs; where only data decide the size of one, of all its activations."""
    ports = (*entry.inputs, *entry.outputs)
    specs = [TensorSpec(name=port.tensor, dtype=port.dtype, shape=port.shape) for port in ports]
    try:
        return sum(spec.bytes(dict(sizes)) for spec in specs)
    except GraphError:
        return max(0, entry.peak_bytes - entry.weight_bytes)


def _layers(package: Package) -> list[int]:
    """Nodes that read a weight, by segment; a weight that two segments share counts in both."""
    graph, segments = package.graph(), package.manifest.segments
    if graph is None:
        return [len(entry.weights) for entry in segments]
    held = [{weight.tensor for weight in entry.weights} for entry in segments]
    return [sum(not names.isdisjoint(node.inputs) for node in graph.nodes) for names in held]
