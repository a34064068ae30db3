"""The manifest: what a package holds, by digest. The format is specified in docs/package.md.

A manifest holds no paths: where a file lies follows from its digest or its segment's number, so no manifest
can point outside its folder. It holds no times and no dates either: the same cut gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from partwise.digest import canonical_json, sha256_digest
from partwise.ir import Dim, DType, Format, Output, Symbol

__all__ = [
    "MANIFEST_VERSION",
    "Descriptor",
    "Manifest",
    "Port",
    "SegmentEntry",
    "WeightEntry",
    "manifest_digest",
    "manifest_to_bytes",
]

MANIFEST_VERSION = "partwise.package/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """Bytes, by what they are. Source of the words: OCI image-spec, descriptor."""

    media_type: str
    digest: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One value of a segment's interface."""

    tensor: str
    dtype: DType
    shape: tuple[Dim, ...] | None
    source: int | None = None
    """Number of the segment that sends it; None for an input of the model and for outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightEntry:
    """One weight of a segment."""

    tensor: str
    dtype: DType
    shape: tuple[int, ...]
    order: tuple[int, ...]
    """Dims from the largest stride to the smallest: the layout of the blob's bytes."""
    blob: Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEntry:
    """One segment: its graph file, its interface and its weights."""

    graph: Descriptor
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: tuple[WeightEntry, ...]
    weight_bytes: int
    peak_bytes: int
    """Planned: weights and the highest sum of activations alive, at the plan's sizes."""
    flops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A package's table of contents."""

    version: str
    model: str
    format: Format
    graph: str
    """Digest of the whole graph."""
    plan: Descriptor
    """The plan, as a blob."""
    whole: Descriptor
    """The graph uncut, in the segments' format, as a blob: what the chain is compared with."""
    engine: str
    """The engine for which the segments are exact."""
    machine: str | None = None
    """The kind of processor whose layout the segments are written for; None where any will do."""
    exact: bool | None = None
    """Chain equal to whole, bit for bit, as checked when it was cut; None if the check was left out."""
    difference: dict[str, float] | None = None
    """Largest absolute difference from the source model by output, as checked when it was cut."""
    symbols: tuple[Symbol, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Output, ...]
    segments: tuple[SegmentEntry, ...]
    notes: tuple[str, ...] = ()


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """The file's bytes: canonical JSON."""
    return canonical_json(msgspec.to_builtins(manifest))


def manifest_digest(manifest: Manifest) -> str:
    """The package's name: sha256 of the manifest's bytes."""
    return sha256_digest(manifest_to_bytes(manifest))
