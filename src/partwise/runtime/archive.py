"""Arrays in `.npz` files, every element type included, and never a pickle.

numpy writes bfloat16, float8 and int4 as opaque bytes and forgets which they were. Here such an array is stored as
unsigned integers with the same bits, under its name, `@` and its type: `logits@bfloat16`. Reading knows the suffix;
any other reader of `.npz` sees integers of the right shape.
"""

from __future__ import annotations

import tokenize
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import ml_dtypes
import numpy as np
import psutil
from numpy.lib import format as npy

from partwise.errors import InputError
from partwise.files import ZIP_FAULTS
from partwise.units import format_bytes

__all__ = ["ArchiveWriter", "read_archive", "read_members", "stored_names", "write_archive"]

_OWN_TYPES = ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "int4", "uint4")
_BROKEN = (*ZIP_FAULTS, MemoryError, tokenize.TokenError)  # the last of a header that is no Python literal


class ArchiveWriter:
    """Writes arrays one after the other; the same arrays give the same bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True)

    def add(self, name: str, array: np.ndarray) -> None:
        """One more array."""
        kind = array.dtype.name
        if kind in _OWN_TYPES:
            name, array = f"{name}@{kind}", array.view(f"u{array.dtype.itemsize}")
        member = zipfile.ZipInfo(f"{name}.npy")  # its date is that of the format's epoch
        with self._zip.open(member, "w", force_zip64=True) as file:
            npy.write_array(file, np.asanyarray(array, order="C"), allow_pickle=False)

    def close(self) -> None:
        """Write the table of contents."""
        self._zip.close()


def write_archive(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A new file with these arrays.

    Raises:
        OSError: the disk refuses.
    """
    with path.open("wb") as file:
        writer = ArchiveWriter(file)
        for name, array in arrays.items():
            writer.add(name, array)
        writer.close()


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file from anywhere, by name.

    Raises:
        InputError: the file cannot be read, is no `.npz`, lies about its sizes, or holds pickled objects.
    """
    return dict(read_members(path, stored_names(path)))


def stored_names(path: Path) -> dict[str, str]:
    """The names of the arrays in a file, and the members that hold them; raises what `read_archive` raises."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
    except _BROKEN as error:
        raise _unreadable(path, error) from None
    return {_split(member.removesuffix(".npy"))[0]: member for member in members}


def read_members(path: Path, members: Mapping[str, str]) -> Iterator[tuple[str, np.ndarray]]:
    """Some arrays of a file: (name, member) pairs of `stored_names` in, (name, array) pairs out."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name, member in members.items():
                yield name, _read(archive, member)
    except _BROKEN as error:
        raise _unreadable(path, error) from None


def _read(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    with archive.open(member) as file:
        version = npy.read_magic(file)
        header = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
        shape, _, dtype = header
        if dtype.hasobject:
            raise ValueError(f"`{member}` holds Python objects, which are never unpickled")
        promised = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if archive.getinfo(member).file_size - file.tell() != promised:
            raise ValueError(f"`{member}` lies about its size")
        if promised > (free := psutil.virtual_memory().available):
            left = format_bytes(free)
            raise ValueError(f"`{member}` unpacks to {format_bytes(promised)}, and {left} of memory are free")
    with archive.open(member) as file:
        array = npy.read_array(file, allow_pickle=False)
    kind = _split(member.removesuffix(".npy"))[1]
    return array.view(getattr(ml_dtypes, kind)) if kind else array


def _split(stored: str) -> tuple[str, str]:
    """Name and own type of a stored name."""
    name, _, kind = stored.rpartition("@")
    return (name, kind) if kind in _OWN_TYPES else (stored, "")


def _unreadable(path: Path, error: Exception) -> InputError:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return InputError(str(path), f"cannot be read as .npz ({text.splitlines()[0][:200]})")
