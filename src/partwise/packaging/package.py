"""Open a package: read its manifest, and check each file against its digest as it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from partwise.ir import Format, Graph
from partwise.packaging.arrays import view_bytes
from partwise.packaging.files import MANIFEST_BYTES, blob_path, read_blob, read_manifest, segment_path
from partwise.packaging.manifest import Descriptor, Manifest, WeightEntry, manifest_digest
from partwise.packaging.parse import manifest_from_bytes
from partwise.packaging.screen import graph_from_bytes, screen_segment, screen_whole

__all__ = ["Package", "Segment", "open_package"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What an engine loads."""

    name: str
    format: Format
    graph: bytes
    """The graph file: the IR's JSON, or ONNX."""
    weights: Mapping[str, np.ndarray]
    """By tensor name, each in aligned memory of our own."""
    ir: Graph | None = None
    """The graph file of a torch segment, parsed and screened; None for ONNX, which its engine checks."""


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
        return self._blob(self.manifest.plan).tobytes()

    def graph(self) -> Graph | None:
        """The uncut graph in the IR, checked; None where a package of another format came without it.

        Raises:
            PackageError: its bytes are not what the manifest promises.
            GraphError: they are no graph.
        """
        manifest = self.manifest
        if manifest.format is Format.TORCH:
            return screen_whole(self._blob(manifest.whole).tobytes(), manifest)
        path = blob_path(self.path, manifest.graph)
        if not path.is_file():
            return None
        size = min(path.stat().st_size, MANIFEST_BYTES)
        data = self._blob(Descriptor(media_type="", digest=manifest.graph, size=size)).tobytes()
        return graph_from_bytes(data, "graph")

    def segment(self, number: int) -> Segment:
        """One segment with its weights.

        Raises:
            PackageError: a file is missing, or is not what the manifest promises.
            InputError: a file that an engine must not see (UnsafeFileError, UnsupportedOpError, GraphError).
        """
        entry, format = self.manifest.segments[number], self.manifest.format
        data = read_blob(self.path, segment_path(self.path, number, self.suffix), entry.graph).tobytes()
        parsed = screen_segment(data, self.manifest, number) if format is Format.TORCH else None
        weights = self._weights(entry.weights)
        return Segment(name=f"segment {number}", format=format, graph=data, weights=weights, ir=parsed)

    def whole(self) -> Segment:
        """The uncut graph as a single segment with all weights; raises what `segment` raises."""
        data, format = self._blob(self.manifest.whole).tobytes(), self.manifest.format
        parsed = screen_whole(data, self.manifest) if format is Format.TORCH else None
        weights = self._weights(weight for segment in self.manifest.segments for weight in segment.weights)
        return Segment(name="whole", format=format, graph=data, weights=weights, ir=parsed)

    def weights(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Some weights by tensor name, from whichever segments have them; raises what `segment` raises."""
        wanted = set(names)
        entries = (weight for segment in self.manifest.segments for weight in segment.weights)
        return self._weights(entry for entry in entries if entry.tensor in wanted)

    def _weights(self, entries: Iterable[WeightEntry]) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for entry in entries:
            if entry.tensor not in found:
                found[entry.tensor] = view_bytes(self._blob(entry.blob), entry.dtype, entry.shape, entry.order)
        return found

    def _blob(self, descriptor: Descriptor) -> np.ndarray:
        return read_blob(self.path, blob_path(self.path, descriptor.digest), descriptor)


def open_package(path: str | Path) -> Package:
    """A package from a folder; its manifest is read and checked.

    Raises:
        ManifestError: no manifest, or one that breaks the format.
    """
    folder = Path(path)
    return Package(folder, manifest_from_bytes(read_manifest(folder), str(folder / "manifest.json")))
