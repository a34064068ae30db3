"""Open a package: read its manifest, and check each file against its digest as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from partwise.digest import sha256_digest
from partwise.errors import DigestMismatchError, ManifestError, PackageError
from partwise.ir import Format
from partwise.packaging.arrays import from_bytes
from partwise.packaging.manifest import Descriptor, Manifest, WeightEntry, manifest_digest, manifest_from_bytes

__all__ = ["MANIFEST_NAME", "Package", "Segment", "blob_path", "is_package", "open_package", "segment_path"]

MANIFEST_NAME = "manifest.json"
_MANIFEST_BYTES = 1 << 28  # a 70B model in 80 segments takes 2 MB


def blob_path(folder: Path, digest: str) -> Path:
    """Where a blob lies in a package."""
    return folder / "blobs" / "sha256" / digest.removeprefix("sha256:")


def segment_path(folder: Path, number: int, suffix: str) -> Path:
    """Where a segment's graph lies in a package."""
    return folder / "segments" / f"segment_{number}.{suffix}"


def is_package(path: Path) -> bool:
    """Whether a path is a folder with a manifest."""
    return (path / MANIFEST_NAME).is_file()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What an engine loads."""

    name: str
    format: Format
    graph: bytes
    """The graph file: the IR's JSON, or ONNX."""
    weights: Mapping[str, np.ndarray]
    """By tensor name, each in aligned memory of our own."""


class Package:
    """A package on disk. Nothing is read before it is asked for, and nothing unread is believed."""

    def __init__(self, path: Path, manifest: Manifest, *, unchanged: bool = False) -> None:
        self.path = path
        self.manifest = manifest
        self.unchanged = unchanged
        """Whether writing it found the same package already there."""

    def __repr__(self) -> str:
        return f"Package({str(self.path)!r}, {len(self.manifest.segments)} segments)"

    @cached_property
    def digest(self) -> str:
        """sha256 of the manifest: the package's name."""
        return manifest_digest(self.manifest)

    @property
    def suffix(self) -> str:
        """The ending of the segments' files."""
        return "onnx" if self.manifest.format == "onnx" else "json"

    def plan_bytes(self) -> bytes:
        """The plan, checked."""
        return self._read(blob_path(self.path, self.manifest.plan.digest), self.manifest.plan)

    def segment(self, number: int) -> Segment:
        """One segment with its weights, checked."""
        entry = self.manifest.segments[number]
        graph = self._read(segment_path(self.path, number, self.suffix), entry.graph)
        return self._segment(f"segment {number}", graph, entry.weights)

    def whole(self) -> Segment:
        """The uncut graph as a single segment with all weights, checked."""
        graph = self._read(blob_path(self.path, self.manifest.whole.digest), self.manifest.whole)
        weights = {w.tensor: w for segment in self.manifest.segments for w in segment.weights}
        return self._segment("whole", graph, tuple(weights.values()))

    def _segment(self, name: str, graph: bytes, entries: tuple[WeightEntry, ...]) -> Segment:
        weights = {entry.tensor: self._weight(entry) for entry in entries}
        return Segment(name=name, format=self.manifest.format, graph=graph, weights=weights)

    def _weight(self, entry: WeightEntry) -> np.ndarray:
        data = self._read(blob_path(self.path, entry.blob.digest), entry.blob)
        return from_bytes(data, entry.dtype, entry.shape, entry.order)

    def _read(self, path: Path, descriptor: Descriptor) -> bytes:
        try:
            size = path.stat().st_size
            if size != descriptor.size:
                raise DigestMismatchError(
                    str(path), "has another size than promised", expected=descriptor.size, got=size
                )
            data = path.read_bytes()
        except OSError as error:
            raise PackageError(str(path), f"cannot be read ({error.strerror})") from None
        found = sha256_digest(data)
        if found != descriptor.digest:
            raise DigestMismatchError(str(path), "other bytes than promised", expected=descriptor.digest, got=found,
                                      hint="the file was changed or truncated; cut the model again.")  # fmt: skip
        return data


def open_package(path: str | Path) -> Package:
    """A package from a folder; its manifest is read and checked.

    Raises:
        ManifestError: no manifest, or one that breaks the format.
    """
    folder = Path(path)
    file = folder / MANIFEST_NAME
    try:
        if file.stat().st_size > _MANIFEST_BYTES:
            raise ManifestError(str(file), "absurdly large", expected=f"≤ {_MANIFEST_BYTES} bytes")
        data = file.read_bytes()
    except OSError as error:
        raise ManifestError(str(folder), f"no package: {MANIFEST_NAME} cannot be read ({error.strerror})") from None
    return Package(folder, manifest_from_bytes(data, str(file)))
