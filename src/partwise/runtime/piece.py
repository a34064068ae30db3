"""A piece of a segment, as an engine's process needs it: cut by the caller while the package runs (`cutter`)."""

from __future__ import annotations

from dataclasses import dataclass

from partwise.ir import Format
from partwise.packaging import Package, Port, Segment
from partwise.packaging.screen import graph_from_bytes

__all__ = ["PieceFile", "piece_segment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceFile:
    """A piece as an engine's process needs it; weights by name, from the package."""

    name: str
    graph: bytes
    """As a segment's file."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: tuple[str, ...]


def piece_segment(package: Package, piece: PieceFile) -> Segment:
    """What an engine loads.

    Raises:
        PackageError: a weight is missing, or is not what the manifest promises.
    """
    format = package.manifest.format
    parsed = graph_from_bytes(piece.graph, piece.name) if format is Format.TORCH else None
    weights = package.weights(piece.weights)
    return Segment(name=piece.name, format=format, graph=piece.graph, weights=weights, ir=parsed)
