"""Files written whole or not at all: a temporary file beside the target, fsync, rename. What a broken zip raises."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import lzma
import os
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from partwise.errors import InputError

__all__ = ["ZIP_FAULTS", "copy_whole", "read_regular", "user_folder", "working_folder", "write_whole"]

ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    RuntimeError,
    ValueError,
    EOFError,
    KeyError,
    OSError,
)
"""What zipfile raises for an archive that is broken.

OSError is bzip2's, and a seek's outside the file; RuntimeError stands for an encrypted member and, as
NotImplementedError, for a method that is not supported.
**Source**: zipfile of CPython 3.11, and `tests/attacks/test_archives.py`.
"""


def read_regular(path: Path, most_bytes: int) -> bytes:
    """A file's bytes from a folder that may be anybody's: no pipe to wait for, no device that never ends.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger than it may be.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "is no regular file")
        if found.st_size > most_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return file.read(most_bytes)


def user_folder(variable: str, usual: str) -> Path:
    """A user's own folder for files of one kind.

    A relative path is ignored: it would lie in whatever folder is the current one, which may be somebody else's.
    **Source**: XDG Base Directory Specification 0.8, "Basics".

    Args:
        variable: of the environment, for example `XDG_STATE_HOME`.
        usual: where it is by default, below the user's home.
    """
    given = Path(os.environ.get(variable, ""))
    return given if given.is_absolute() else Path.home() / usual


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`, or leave `path` as it was.

    Raises:
        InputError: the folder does not exist or the disk refuses.
    """
    with _replacing(path) as file:
        file.write(data)


def copy_whole(source: Path, path: Path) -> None:
    """Put a copy of a file at `path`, or leave `path` as it was.

    Raises:
        InputError: the folder does not exist or the disk refuses.
    """
    with _replacing(path) as file, source.open("rb") as original:
        shutil.copyfileobj(original, file)


@contextlib.contextmanager
def working_folder(parent: Path, name: str) -> Generator[Path]:
    """A new folder `.<name>.<random>` for what is under way; gone at the end, unless it was moved where it belongs.

    Those of calls that were killed are removed first. Whoever still works in one holds a lock on it, and keeps it.
    """
    for left in parent.glob(f".{name}.*"):
        if (handle := _locked(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(handle)
    while True:
        path = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=parent))
        if (handle := _locked(path)) is not None and path.is_dir():
            break  # nobody took it for left before it was locked
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def _locked(folder: Path) -> int | None:
    """A handle that holds a folder's lock for as long as it is open; None where another process holds it."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


@contextlib.contextmanager
def _disk(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(str(path), f"cannot be written ({error.strerror})") from None


@contextlib.contextmanager
def _replacing(path: Path) -> Generator[BinaryIO]:
    """A file beside `path` that takes its place once everything is on disk.

    A device or a pipe, as `/dev/stdout`, is written to; root could rename a file over it.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with _disk(path), path.open("wb") as file:
            yield file
        return
    partial = None
    try:
        with _disk(path):
            handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(partial, 0o644)
            os.replace(partial, path)
    finally:
        if partial is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)
