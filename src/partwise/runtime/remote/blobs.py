"""A worker's blobs: fetched by digest, verified, kept on disk, never fetched twice.

    <cache>/blobs/sha256/<hex>     whole blobs, under the digest that they were checked against
    <cache>/partial/<hex>          what has come of others: the next try goes on from there
    <cache>/packages/<hex>/        packages, of hard links to blobs, as `packaging` reads them

Several workers of a host may share a cache: a lock on the partial file lets one of them fetch.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from partwise.digest import file_digest
from partwise.errors import DigestMismatchError, PackageError
from partwise.files import user_folder
from partwise.packaging import Descriptor, Package, open_package
from partwise.packaging.files import MANIFEST_NAME, blob_path, segment_path
from partwise.runtime.piece import PieceFile
from partwise.runtime.remote.sources import PART_BYTES, Source, refuse_odd
from partwise.runtime.remote.wire import Fetched

__all__ = ["BlobCache", "KeptPackage", "default_cache"]


def default_cache() -> Path:
    """`~/.cache/partwise/worker`, or beneath XDG_CACHE_HOME (XDG Base Directory Specification)."""
    return user_folder("XDG_CACHE_HOME", ".cache") / "partwise" / "worker"


class BlobCache:
    """A folder of blobs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for folder in ("blobs/sha256", "partial", "packages"):
                (root / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PackageError(str(root), f"cannot be a cache ({error.strerror})") from None

    def path(self, digest: str) -> Path:
        """Where a blob lies once it is whole."""
        refuse_odd(digest)
        return blob_path(self.root, digest)

    def fetch(self, descriptor: Descriptor, sources: Sequence[Source]) -> tuple[int, str | None]:
        """See that a blob is here: the bytes that were fetched for it, and from where.

        Raises:
            PackageError: no source has it; the last one's reason.
            DigestMismatchError: what the last source has under the digest is something else.
        """
        whole, size = self.path(descriptor.digest), descriptor.size
        if whole.is_file() and whole.stat().st_size == size:
            return 0, None
        partial = self.root / "partial" / whole.name
        try:
            with partial.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # let go of by closing, or by dying
                if whole.is_file() and whole.stat().st_size == size:
                    return 0, None
                found = self._from_any(descriptor, sources, file)
                os.replace(partial, whole)
                return found
        except OSError as error:
            raise PackageError(str(self.root), f"cannot keep a blob ({error.strerror})") from None

    def drop_damaged(self, descriptors: Iterable[Descriptor]) -> int:
        """Forget blobs that are no longer what their digests name; how many there were."""
        damaged = [
            d for d in descriptors if self.path(d.digest).is_file() and file_digest(self.path(d.digest)) != d.digest
        ]
        for descriptor in damaged:
            self.path(descriptor.digest).unlink(missing_ok=True)
        return len(damaged)

    def _from_any(self, wanted: Descriptor, sources: Sequence[Source], file: BinaryIO) -> tuple[int, str]:
        error: PackageError | None = None
        for source in sources:
            try:
                return _take(wanted, source, file), source.name
            except PackageError as failed:
                error = failed
        raise error or PackageError(f"blob {wanted.digest}", "is nowhere to be had", hint="partwise worker --store …")


def _take(wanted: Descriptor, source: Source, file: BinaryIO) -> int:
    """Bring a partial file to its end, and check it."""
    state, start = hashlib.sha256(), 0
    file.seek(0)
    while piece := file.read(PART_BYTES):
        state.update(piece)
        start += len(piece)
    if start > wanted.size:
        start, state = 0, hashlib.sha256()
        file.truncate(0)
    fetched = 0
    for part in source.read(wanted.digest, start, wanted.size):
        file.write(part)
        state.update(part)
        fetched += len(part)
    file.flush()
    found = f"sha256:{state.hexdigest()}"
    if found == wanted.digest:
        os.fsync(file.fileno())
        return fetched
    file.truncate(0)
    if start:  # the fault may lie in what was here before
        return fetched + _take(wanted, source, file)
    raise DigestMismatchError(f"blob from {source.name}", "has other bytes than promised",
                              expected=wanted.digest, got=found)  # fmt: skip


class KeptPackage:
    """A package of which a worker has what its own stages need, and no more."""

    def __init__(self, cache: BlobCache, manifest: Descriptor, sources: Sequence[Source]) -> None:
        """Fetch its manifest.

        Raises:
            PackageError: it is not to be had, or is none.
        """
        self._cache, self._sources = cache, sources
        self._folder = cache.root / "packages" / cache.path(manifest.digest).name
        self._place(manifest, self._folder / MANIFEST_NAME)
        self.package: Package = open_package(self._folder)
        if self.package.digest != manifest.digest:
            raise PackageError("package", "its manifest is not written as it should be", expected=manifest.digest,
                               got=self.package.digest)  # fmt: skip

    def prepare(self, stage: int, piece: PieceFile | None = None) -> Fetched:
        """See that all files of a stage are here, and right.

        Raises:
            PackageError: one of them is not to be had.
        """
        start, fetched, kept = time.monotonic(), 0, 0
        from_where = dict[str, None]()
        for descriptor, path in self._files(stage, piece):
            came, source = self._place(descriptor, path)
            fetched, kept = fetched + came, kept + (0 if came else descriptor.size)
            from_where |= {source: None} if source else {}
        return Fetched(fetched, kept, time.monotonic() - start, tuple(from_where))

    def heal(self, stage: int, piece: PieceFile | None = None) -> bool:
        """Forget files of a stage that were damaged on this disk; whether there were any."""
        files = self._files(stage, piece)
        damaged = self._cache.drop_damaged(descriptor for descriptor, _ in files)
        for _, path in files if damaged else ():
            path.unlink(missing_ok=True)
        return damaged > 0

    def _files(self, stage: int, piece: PieceFile | None) -> list[tuple[Descriptor, Path]]:
        manifest, folder = self.package.manifest, self._folder
        if piece is None:
            entry = manifest.segments[stage]
            graph = [(entry.graph, segment_path(folder, stage, self.package.suffix))]
            blobs = [weight.blob for weight in entry.weights]
        else:
            wanted, graph = set(piece.weights), []
            blobs = [w.blob for s in manifest.segments for w in s.weights if w.tensor in wanted]
        unique = {blob.digest: blob for blob in blobs}.values()
        return [*graph, *((blob, blob_path(folder, blob.digest)) for blob in unique)]

    def _place(self, descriptor: Descriptor, path: Path) -> tuple[int, str | None]:
        """A file of the package, by its blob."""
        found = self._cache.fetch(descriptor, self._sources)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            blob = self._cache.path(descriptor.digest)
            with contextlib.suppress(FileExistsError):
                try:
                    os.link(blob, path)
                except OSError:  # a file system without hard links
                    shutil.copyfile(blob, path)
        return found
