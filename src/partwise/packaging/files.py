"""Read a package's file: a regular file inside the folder, of the promised size, with the promised digest."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

import numpy as np

from partwise.digest import sha256_digest
from partwise.errors import DigestMismatchError, ManifestError, PackageError, UnsafeFileError
from partwise.packaging.arrays import aligned_bytes
from partwise.packaging.manifest import Descriptor

__all__ = ["MANIFEST_BYTES", "MANIFEST_NAME", "blob_path", "is_package", "read_blob", "read_manifest", "segment_path"]

MANIFEST_NAME = "manifest.json"
MANIFEST_BYTES = 1 << 28
"""Limit of the manifest's file; that of a 70B model in 80 segments takes 2 MB."""


def blob_path(folder: Path, digest: str) -> Path:
    """Where a blob lies in a package."""
    return folder / "blobs" / "sha256" / digest.removeprefix("sha256:")


def segment_path(folder: Path, number: int, suffix: str) -> Path:
    """Where a segment's graph lies in a package."""
    return folder / "segments" / f"segment_{number}.{suffix}"


def is_package(path: Path) -> bool:
    """Whether a path is a folder with a manifest."""
    return (path / MANIFEST_NAME).is_file()


def read_manifest(folder: Path) -> bytes:
    """The bytes of a package's manifest.

    Raises:
        ManifestError: there is none, or it is absurdly large.
        UnsafeFileError: it is a link, or no file.
    """
    file = folder / MANIFEST_NAME
    try:
        with _open(folder, file) as handle:
            if os.fstat(handle.fileno()).st_size > MANIFEST_BYTES:
                raise ManifestError(str(file), "absurdly large", expected=f"≤ {MANIFEST_BYTES} bytes")
            return handle.read(MANIFEST_BYTES)
    except OSError as error:
        raise ManifestError(str(folder), f"no package: {MANIFEST_NAME} cannot be read ({error.strerror})") from None


def read_blob(folder: Path, path: Path, descriptor: Descriptor) -> np.ndarray:
    """A file's bytes, in aligned memory of our own, checked.

    Args:
        folder: the package.
        path: the file, inside it.
        descriptor: what the manifest promises of it.

    Returns:
        uint8, [descriptor.size].

    Raises:
        DigestMismatchError: other bytes, or another number of them.
        UnsafeFileError: a link, or no file.
        PackageError: it cannot be read.
    """
    try:
        with _open(folder, path) as handle:
            size = os.fstat(handle.fileno()).st_size
            if size != descriptor.size:
                raise DigestMismatchError(
                    str(path), "has another size than promised", expected=descriptor.size, got=size, hint=_HINT
                )
            data = aligned_bytes(size)
            handle.readinto(data.data)
    except MemoryError:
        raise PackageError(str(path), f"does not fit into memory ({descriptor.size} bytes)") from None
    except OSError as error:
        raise PackageError(str(path), f"cannot be read ({error.strerror})", hint=_HINT) from None
    found = sha256_digest(data.data)
    if found != descriptor.digest:
        raise DigestMismatchError(
            str(path), "has other bytes than promised", expected=descriptor.digest, got=found, hint=_HINT
        )
    return data


_HINT = "a file of the package is missing, cut short or changed; cut the model again."


def _open(folder: Path, path: Path) -> BufferedReader:
    """A regular file, reached without following a link below the package's folder.

    A link could point at any file of the reader's machine, or at one that never ends.
    """
    for part in (path, *path.parents):
        if part == folder:
            break
        if part.is_symlink():
            raise UnsafeFileError(str(part), "is a link; a package holds its files itself")
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnsafeFileError(str(path), "is no regular file")
    return os.fdopen(handle, "rb")
