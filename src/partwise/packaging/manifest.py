"""The manifest: what a package holds, by digest. The format is specified in docs/package.md.

A manifest holds no paths: where a file lies follows from its digest or its segment's number, so no manifest
can point outside its folder. It holds no times and no dates either: the same cut gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from partwise.digest import canonical_json, is_digest, sha256_digest
from partwise.errors import ManifestError
from partwise.ir import Dim, DType, Format, Output, Symbol

__all__ = [
    "MANIFEST_VERSION",
    "Descriptor",
    "Manifest",
    "Port",
    "SegmentEntry",
    "WeightEntry",
    "manifest_digest",
    "manifest_from_bytes",
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


def manifest_from_bytes(data: bytes, subject: str) -> Manifest:
    """A manifest from anywhere, every field checked.

    Raises:
        ManifestError: not JSON, a field of the wrong type, another version, or a promise it cannot keep.
    """
    try:
        raw: Any = msgspec.json.decode(data)
        manifest = msgspec.convert(raw, Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ManifestError(subject, f"not a manifest ({error})", expected=MANIFEST_VERSION) from None
    if manifest.version != MANIFEST_VERSION:
        raise ManifestError(subject, "another version of the format", expected=MANIFEST_VERSION, got=manifest.version)
    _check(manifest, subject)
    return manifest


def _check(manifest: Manifest, subject: str) -> None:
    descriptors = [manifest.plan, manifest.whole, *(s.graph for s in manifest.segments)]
    descriptors += [weight.blob for segment in manifest.segments for weight in segment.weights]
    for descriptor in descriptors:
        if not is_digest(descriptor.digest) or descriptor.size < 0:
            raise ManifestError(
                subject, "holds a malformed descriptor", got=f"{descriptor.digest} ({descriptor.size} B)"
            )
    for number, segment in enumerate(manifest.segments):
        _check_segment(manifest, number, segment, f"{subject}, segment {number}")


def _check_segment(manifest: Manifest, number: int, segment: SegmentEntry, subject: str) -> None:
    known = {port.tensor: port for port in manifest.inputs}
    for port in segment.inputs:
        if port.source is None and port.tensor not in known:
            raise ManifestError(subject, f"input `{port.tensor}` is no input of the model and has no source")
        if port.source is not None:
            if not 0 <= port.source < number:
                raise ManifestError(subject, f"input `{port.tensor}` comes from no earlier segment", got=port.source)
            sent = {p.tensor: (p.dtype, p.shape) for p in manifest.segments[port.source].outputs}
            if sent.get(port.tensor) != (port.dtype, port.shape):
                raise ManifestError(subject, f"input `{port.tensor}` is not what segment {port.source} sends",
                                    expected=sent.get(port.tensor), got=(port.dtype, port.shape))  # fmt: skip
    for weight in segment.weights:
        _check_weight(weight, subject)


def _check_weight(weight: WeightEntry, subject: str) -> None:
    if sorted(weight.order) != list(range(len(weight.shape))) or any(size < 0 for size in weight.shape):
        raise ManifestError(
            subject, f"weight `{weight.tensor}` has an impossible layout", got=(weight.shape, weight.order)
        )
    elements = 1
    for size in weight.shape:
        elements *= size
    expected = (elements * weight.dtype.bits + 7) // 8
    if weight.blob.size != expected:
        raise ManifestError(
            subject, f"weight `{weight.tensor}` lies about its size", expected=expected, got=weight.blob.size
        )
