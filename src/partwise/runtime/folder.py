"""Run folders: `run_<n>/` with the record and the values, written as a whole or not at all.

    run_<n>/run_result.json    the record: canonical JSON
            inputs.npz         what went in, so that anyone can compute it again
            outputs.npz        what came out

In both archives an array's name is that of the input or output; in a stream `<request>/<name>`, requests counted
from 0. Types that numpy lacks are stored as `partwise.runtime.archive` says.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec
import numpy as np

from partwise.digest import canonical_json
from partwise.errors import InputError
from partwise.runtime.archive import ArchiveWriter, stored_names
from partwise.runtime.record import RUN_VERSION, LazyArrays, Run, RunRecord, RunRequest
from partwise.strict_json import json_record

__all__ = ["RUN_RESULT", "RunWriter", "is_run", "load_run", "run_to_data"]

RUN_RESULT, INPUTS, OUTPUTS = "run_result.json", "inputs.npz", "outputs.npz"
_NAME = re.compile(r"run_([0-9]+)\Z")
_PARTIAL = re.compile(r"\.run_[0-9a-f]{8}\Z")
_ABANDONED_S = 60.0
"""How old a run that nobody writes is removed: one that has just begun may not hold its lock yet (assumed)."""


def is_run(path: Path) -> bool:
    """Whether a path is a saved run's folder."""
    return (path / RUN_RESULT).is_file()


def run_to_data(record: RunRecord) -> dict[str, object]:
    """A record as plain JSON data."""
    return msgspec.to_builtins(record)


class RunWriter:
    """Writes a run beside the others under a name of its own, then gives it the next number.

    Use it in a `with` block: leaving without `finish` removes what was written.
    """

    def __init__(self, folder: Path, *, stream: bool) -> None:
        """Start a folder in the folder of all runs.

        Raises:
            InputError: the disk refuses.
        """
        self._folder, self._stream = folder, stream
        self._partial, self._is_new = folder / f".run_{secrets.token_hex(4)}", not folder.exists()
        self._files, self._archives = list[IO[bytes]](), list[ArchiveWriter]()
        try:
            with _disk(folder):
                _sweep(folder)
                self._partial.mkdir(parents=True)
                for name in (INPUTS, OUTPUTS):
                    self._files.append((self._partial / name).open("wb"))
                    self._archives.append(ArchiveWriter(self._files[-1]))
                _lock(self._files[0].fileno())
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def add(self, request: int, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """The values of one more request."""
        with _disk(self._folder):
            for archive, values in zip(self._archives, (inputs, outputs), strict=True):
                for name, value in values.items():
                    archive.add(_key(request, name, stream=self._stream), value)

    def finish(self, record: RunRecord) -> Path:
        """Write the record, make sure that all of it is on the disk, and give the folder its number."""
        with _disk(self._folder):
            for archive, file in zip(self._archives, self._files, strict=True):
                archive.close()
                _settle(file.fileno())
                file.close()
            with (self._partial / RUN_RESULT).open("wb") as file:
                file.write(canonical_json(run_to_data(record)))
                file.flush()
                _settle(file.fileno())
            return self._number()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An archive that is left open writes its table when it is collected, into a file that is closed by then.
        for open_one in (*self._archives, *self._files):
            with contextlib.suppress(OSError):
                open_one.close()
        shutil.rmtree(self._partial, ignore_errors=True)
        if self._is_new:
            with contextlib.suppress(OSError):  # other runs are in it: then it stays
                self._folder.rmdir()

    def _number(self) -> Path:
        """Take the next number; where another run takes it first, renaming fails, and the one after it is tried."""
        taken = [int(match[1]) for path in self._folder.iterdir() if (match := _NAME.match(path.name))]
        number = max(taken, default=0)
        while True:
            number += 1
            final = self._folder / f"run_{number}"
            try:
                self._partial.rename(final)
            except OSError:
                if not final.exists():
                    raise
            else:
                return final


def load_run(path: str | Path) -> Run:
    """A saved run. Nothing in it is believed yet: that is what `verify` is for.

    Raises:
        InputError: no saved run, or one that breaks the format.
    """
    folder = Path(path)
    try:
        data = (folder / RUN_RESULT).read_bytes()
    except OSError as error:
        raise InputError(str(folder), f"no saved run: {RUN_RESULT} cannot be read ({error.strerror})") from None
    record = json_record(data, RunRecord, str(folder / RUN_RESULT), what="is no run's record")
    if record.version != RUN_VERSION:
        raise InputError(str(folder), "another version of the format", expected=RUN_VERSION, got=record.version)
    stored = {name: stored_names(folder / name) for name in (INPUTS, OUTPUTS)}
    requests = tuple(_request(folder, stored, record, number) for number in range(len(record.requests)))
    return Run(record=record, requests=requests, path=folder)


def _request(folder: Path, stored: Mapping[str, Mapping[str, str]], record: RunRecord, number: int) -> RunRequest:
    promised = record.requests[number]
    inputs = _lazy(folder / INPUTS, stored[INPUTS], promised.inputs, record, number)
    outputs = _lazy(folder / OUTPUTS, stored[OUTPUTS], promised.outputs, record, number)
    return RunRequest(record=promised, inputs=inputs, outputs=outputs)


def _lazy(
    path: Path, stored: Mapping[str, str], names: Mapping[str, str], record: RunRecord, number: int
) -> LazyArrays:
    keys = {name: _key(number, name, stream=record.stream) for name in names}
    if missing := [name for name, key in keys.items() if key not in stored]:
        raise InputError(str(path), f"lacks `{missing[0]}` of request {number}")
    orders = record.requests[number].orders if path.name == INPUTS else {}
    return LazyArrays(path, {name: stored[key] for name, key in keys.items()}, orders)


def _key(request: int, name: str, *, stream: bool) -> str:
    return f"{request}/{name}" if stream else name


def _sweep(folder: Path) -> None:
    """Remove what runs have left that were killed: nobody holds their locks any more."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if _PARTIAL.match(path.name) and not path.is_symlink():
            with contextlib.suppress(OSError):  # somebody else's, or gone by now
                if time.time() - path.stat().st_mtime > _ABANDONED_S and not _is_held(path / INPUTS):
                    shutil.rmtree(path, ignore_errors=True)


def _is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file."""
    try:  # never a wait: whoever may write here may have put a pipe in a file's place
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take a file's lock, which lasts as long as this process has it open; whether nobody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody has it, or this file system knows no locks
        return False
    return True


def _settle(descriptor: int) -> None:
    os.fsync(descriptor)


@contextlib.contextmanager
def _disk(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            str(folder), f"a run cannot be written ({error.strerror})", hint="choose another run folder."
        ) from None
