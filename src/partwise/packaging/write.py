"""Write a package: whole or not at all, and only the blobs that are not there yet."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from partwise.digest import file_digest, sha256_digest
from partwise.errors import PackageError
from partwise.ir import DType
from partwise.packaging.arrays import dense, stride_order
from partwise.packaging.files import MANIFEST_NAME, blob_path, is_package, segment_path
from partwise.packaging.manifest import Descriptor, Manifest, SegmentEntry, WeightEntry, manifest_to_bytes
from partwise.packaging.package import Package

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
    *,
    graph: bytes | None = None,
) -> Package:
    """Write a package beside `out`, check it, and move it into place.

    Args:
        out: the package's folder; if it is a package already, it is replaced, and its blobs are kept.
        manifest: the table of contents without descriptors.
        plan: bytes of the plan.
        whole: bytes of the uncut graph in the segments' format.
        segments: in order.
        weights: each weight by tensor name; asked for once each.
        check: looks at the package before it is moved into place, and returns the manifest to keep.
        graph: canonical JSON of the uncut graph in the IR, where `whole` is another format.

    Raises:
        PackageError: `out` is something else than a package, or the disk refuses.
    """
    folder = Path(os.path.realpath(out))  # a link stays, what it leads to is written
    if folder.exists() and not is_package(folder) and not _is_empty(folder):
        raise PackageError(str(out), "exists and is no package; it is left as it is", hint="choose another folder.")
    partial = (folder if _is_empty(folder) else folder.parent) / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True)
        written = _fill(partial, manifest, (plan, whole, graph), segments, weights, known=folder)
        _write(partial / MANIFEST_NAME, manifest_to_bytes(written))
        if check is not None:
            written = check(Package(partial, written))
            _write(partial / MANIFEST_NAME, manifest_to_bytes(written))
        if _same(partial, folder):
            return Package(out, written, unchanged=True)
        _swap(partial, folder)
    except OSError as error:
        raise PackageError(str(out), f"cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Package(out, written)


def _fill(
    folder: Path,
    manifest: Manifest,
    blobs: tuple[bytes, bytes, bytes | None],
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
    for blob, data in zip((plan.digest, whole.digest, manifest.graph), blobs, strict=True):
        if data is not None:
            _write(blob_path(folder, blob), data)
    return replace(manifest, plan=plan, whole=whole, segments=tuple(finished))


def _write_weight(folder: Path, name: str, array: np.ndarray, known: Path) -> WeightEntry:
    data = dense(array).reshape(-1).view(np.uint8).data
    blob = _describe(_TENSOR, data)
    path, there = blob_path(folder, blob.digest), blob_path(known, blob.digest)
    if _holds(there, blob):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.link(there, path)
    elif not path.exists():
        _write(path, data)
    dtype, shape = DType(array.dtype.name), tuple(int(size) for size in array.shape)
    return WeightEntry(tensor=name, dtype=dtype, shape=shape, order=stride_order(array), blob=blob)


def _holds(path: Path, blob: Descriptor) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != blob.size:
        return False
    return file_digest(path) == blob.digest


def _describe(media: str, data: bytes | memoryview) -> Descriptor:
    size = data.nbytes if isinstance(data, memoryview) else len(data)
    return Descriptor(media_type=media, digest=sha256_digest(data), size=size)


def _write(path: Path, data: bytes | memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _same(partial: Path, out: Path) -> bool:
    """Whether `out` holds every file of `partial`, byte for byte; a blob found there is the same file by a link."""
    return all(_same_file(path, out / path.relative_to(partial)) for path in partial.rglob("*") if path.is_file())


def _same_file(path: Path, other: Path) -> bool:
    if not other.is_file() or other.is_symlink():
        return False
    return path.samefile(other) or path.read_bytes() == other.read_bytes()


def _swap(partial: Path, out: Path) -> None:
    """Put the finished folder in `out`'s place; what was there goes only when the new one stands."""
    if partial.parent == out:
        _move_up(partial, out)
        return
    if not out.exists():
        partial.rename(out)
        return
    old = out.parent / f".{out.name}.{secrets.token_hex(4)}"
    out.rename(old)
    try:
        partial.rename(out)
    except BaseException:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _move_up(partial: Path, out: Path) -> None:
    """Fill a folder that was empty: it may be the current one, or a file system of its own, and stays in its place."""
    moved: list[Path] = []
    try:
        for path in sorted(partial.iterdir(), key=lambda path: path.name == MANIFEST_NAME):  # then it is a package
            moved.append(path.rename(out / path.name))
    except BaseException:
        for path in moved:
            path.rename(partial / path.name)
        raise
