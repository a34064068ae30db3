"""From a plan to the segments of a package, by the format of its graph."""

from __future__ import annotations

from collections.abc import Callable

from partwise.cutting.onnx import encode_onnx
from partwise.cutting.segment import segment_graph
from partwise.digest import canonical_json
from partwise.ir import Format, Graph, Part, contract, divide, graph_digest, graph_to_data
from partwise.packaging import MANIFEST_VERSION, Descriptor, Manifest, Port, SegmentEntry, SegmentFile
from partwise.planning import Plan

__all__ = ["cut_plan", "encode_part", "encode_whole"]

Encoder = Callable[[Graph, Part, str], bytes]
"""Writes the graph file of one part: (whole graph, part, name) -> bytes."""
_PENDING = Descriptor(media_type="", digest="", size=0)


def cut_plan(plan: Plan) -> tuple[Manifest, tuple[SegmentFile, ...]]:
    """The manifest, still without digests, and the segments of a plan."""
    graph, encode = plan.graph, _ENCODERS[plan.graph.format]
    parts = divide(contract(graph), [stage.nodes for stage in plan.stages])
    home = {name: number for number, part in enumerate(parts) for name in part.outputs}
    segments = tuple(
        SegmentFile(
            entry=_entry(plan, number, part, home),
            graph=encode(graph, part, f"segment_{number}"),
            weights=tuple(name for name in part.weights if name in graph.held),
        )
        for number, part in enumerate(parts)
    )
    manifest = Manifest(
        version=MANIFEST_VERSION,
        model=graph.name,
        format=graph.format,
        graph=graph_digest(graph),
        plan=_PENDING,
        whole=_PENDING,
        engine="torch" if graph.format is Format.TORCH else "onnxruntime",
        machine=_machine(graph),
        symbols=graph.symbols,
        inputs=tuple(_port(graph, name) for name in graph.inputs),
        outputs=graph.outputs,
        segments=(),
        notes=graph.notes,
    )
    return manifest, segments


def encode_part(graph: Graph, part: Part, name: str) -> bytes:
    """One part of a graph in its segments' format."""
    return _ENCODERS[graph.format](graph, part, name)


def encode_whole(graph: Graph) -> bytes:
    """The uncut graph in its segments' format: what a chain is compared with."""
    if graph.format is Format.TORCH:
        return canonical_json(graph_to_data(graph))
    contraction = contract(graph)
    return _ENCODERS[graph.format](graph, divide(contraction, [contraction.placed])[0], "whole")


def _entry(plan: Plan, number: int, part: Part, home: dict[str, int]) -> SegmentEntry:
    stage, graph = plan.stages[number], plan.graph
    return SegmentEntry(
        graph=_PENDING,
        inputs=tuple(_port(graph, name, None if name in graph.inputs else home[name]) for name in part.inputs),
        outputs=tuple(_port(graph, name) for name in part.outputs),
        weights=(),
        weight_bytes=stage.weight_bytes,
        peak_bytes=stage.peak_bytes,
        flops=stage.flops,
    )


def _port(graph: Graph, name: str, source: int | None = None) -> Port:
    spec = graph.spec[name]
    return Port(tensor=name, dtype=spec.dtype, shape=spec.shape, source=source)


def _machine(graph: Graph) -> str | None:
    """The kind of processor whose layout the optimizer wrote; None where any will do."""
    machine = dict(graph.settings).get("machine")
    return None if machine is None else str(machine)


def _encode_json(graph: Graph, part: Part, name: str) -> bytes:
    return canonical_json(graph_to_data(segment_graph(graph, part, name)))


_ENCODERS: dict[Format, Encoder] = {Format.TORCH: _encode_json, Format.ONNX: encode_onnx}
