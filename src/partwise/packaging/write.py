"""Write a package: whole or not at all, and only the blobs that are not there yet."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from partwise.digest import sha256_digest
from partwise.errors import PackageError
from partwise.ir import DType
from partwise.packaging.arrays import dense, stride_order
from partwise.packaging.manifest import Descriptor, Manifest, SegmentEntry, WeightEntry, manifest_to_bytes
from partwise.packaging.package import MANIFEST_NAME, Package, blob_path, is_package, open_package, segment_path

__all__ = ["SegmentFile", "write_package"]

_TENSOR = "application/vnd.partwise.tensor"
_JSON = "application/vnd.partwise.graph+json"
_ONNX = "application/vnd.partwise.graph+onnx"
_PLAN = "application/vnd.partwise.plan+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFile:
    """A segment before it is written: its entry, still without digests, and its bytes."""

    entry: SegmentEntry
    graph: bytes
    weights: tuple[str, ...]
    """Names of the weights it reads."""


def write_package(
    out: Path,
    manifest: Manifest,
    plan: bytes,
    whole: bytes,
    segments: tuple[SegmentFile, ...],
    weights: Mapping[str, np.ndarray],
    check: Callable[[Package], Manifest] | None = None,
) -> Package:
    """Write a package beside `out`, check it, and move it into place.

    Args:
        out: the package's folder; if it is a package already, it is replaced, and its blobs are kept.
        manifest: the table of contents without descriptors.
        plan: bytes of the plan.
        whole: bytes of the uncut graph.
        segments: in order.
        weights: each weight by tensor name; asked for once each.
        check: looks at the package before it is moved into place, and returns the manifest to keep.

    Raises:
        PackageError: `out` is something else than a package, or the disk refuses.
    """
    if out.exists() and not is_package(out) and (not out.is_dir() or any(out.iterdir())):
        raise PackageError(str(out), "exists and is no package; it is left as it is", hint="choose another folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        written = _fill(partial, manifest, (plan, whole), segments, weights, known=out)
        _write(partial / MANIFEST_NAME, manifest_to_bytes(written))
        if check is not None:
            written = check(Package(partial, written))
            _write(partial / MANIFEST_NAME, manifest_to_bytes(written))
        if is_package(out) and (out / MANIFEST_NAME).read_bytes() == manifest_to_bytes(written) and _complete(out):
            return Package(out, written, unchanged=True)
        _swap(partial, out)
    except OSError as error:
        raise PackageError(str(out), f"cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Package(out, written)


def _fill(
    folder: Path,
    manifest: Manifest,
    blobs: tuple[bytes, bytes],
    segments: tuple[SegmentFile, ...],
    weights: Mapping[str, np.ndarray],
    known: Path,
) -> Manifest:
    entries: dict[str, WeightEntry] = {}
    for name in dict.fromkeys(name for segment in segments for name in segment.weights):
        entries[name] = _write_weight(folder, name, weights[name], known)
    suffix, media = ("onnx", _ONNX) if manifest.format == "onnx" else ("json", _JSON)
    finished = list[SegmentEntry]()
    for number, segment in enumerate(segments):
        _write(segment_path(folder, number, suffix), segment.graph)
        owned = tuple(entries[name] for name in segment.weights)
        finished.append(replace(segment.entry, graph=_describe(media, segment.graph), weights=owned))
    plan, whole = _describe(_PLAN, blobs[0]), _describe(media, blobs[1])
    for blob, data in zip((plan, whole), blobs, strict=True):
        _write(blob_path(folder, blob.digest), data)
    return replace(manifest, plan=plan, whole=whole, segments=tuple(finished))


def _write_weight(folder: Path, name: str, array: np.ndarray, known: Path) -> WeightEntry:
    data = memoryview(dense(array).reshape(-1).view(np.uint8))
    blob = _describe(_TENSOR, data)
    path, there = blob_path(folder, blob.digest), blob_path(known, blob.digest)
    if there.is_file() and there.stat().st_size == blob.size and sha256_digest(there.read_bytes()) == blob.digest:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.link(there, path)
    elif not path.exists():
        _write(path, data)
    dtype, shape = DType(array.dtype.name), tuple(int(size) for size in array.shape)
    return WeightEntry(tensor=name, dtype=dtype, shape=shape, order=stride_order(array), blob=blob)


def _describe(media: str, data: bytes | memoryview) -> Descriptor:
    size = data.nbytes if isinstance(data, memoryview) else len(data)
    return Descriptor(media_type=media, digest=sha256_digest(data), size=size)


def _write(path: Path, data: bytes | memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _complete(folder: Path) -> bool:
    """Whether every file that the package promises is there, with its size."""
    package = open_package(folder)
    manifest = package.manifest
    promised = [(blob_path(folder, blob.digest), blob.size) for blob in (manifest.plan, manifest.whole)]
    for number, segment in enumerate(manifest.segments):
        promised.append((segment_path(folder, number, package.suffix), segment.graph.size))
        promised += [(blob_path(folder, w.blob.digest), w.blob.size) for w in segment.weights]
    return all(path.is_file() and path.stat().st_size == size for path, size in promised)


def _swap(partial: Path, out: Path) -> None:
    """Put the finished folder in `out`'s place; what was there goes only when the new one stands."""
    if not out.exists():
        partial.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    out.rename(old / "package")
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)
