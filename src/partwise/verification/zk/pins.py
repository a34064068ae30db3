"""What this machine's own `compile` made: the digest of its manifest, noted outside everything that travels.

    $XDG_STATE_HOME/partwise/proofs/<sha256 of the folder's path>.json      {"folder": ..., "manifest": ...}
    $XDG_STATE_HOME/partwise/circuits/<sha256 of the folder's path>.json    the same of one circuit's record

A manifest that comes along with proofs is believed only if the client names its digest, or this note does. A circuit
found in a folder is reused only if it was made here: otherwise whoever gave the folder would choose what is pinned.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from partwise.digest import canonical_json, is_digest, sha256_digest
from partwise.errors import InputError
from partwise.files import user_folder, write_whole
from partwise.strict_json import json_record

__all__ = ["note_circuit", "note_manifest", "noted_anywhere", "noted_circuit", "noted_manifest"]


class _Note(msgspec.Struct, frozen=True):
    folder: str
    manifest: str


def note_manifest(folder: Path, digest: str) -> None:
    """Note that a folder's manifest was made here.

    Raises:
        InputError: the state folder cannot be written.
    """
    _write(_note("proofs", folder), folder, digest)


def noted_manifest(folder: Path) -> str | None:
    """The digest noted for a folder; None where nothing was compiled there on this machine."""
    return _read(_note("proofs", folder))[1]


def note_circuit(folder: Path, digest: str) -> None:
    """Note that a folder's circuit, whose record has this digest, was made here.

    Raises:
        InputError: the state folder cannot be written.
    """
    _write(_note("circuits", folder), folder, digest)


def noted_circuit(folder: Path) -> str | None:
    """The digest noted for a circuit's folder; None where it was not made on this machine."""
    return _read(_note("circuits", folder))[1]


def _write(path: Path, folder: Path, digest: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(str(path.parent), f"cannot be made ({error.strerror})") from None
    write_whole(path, canonical_json({"folder": str(folder.resolve()), "manifest": digest}))


def noted_anywhere(digest: str) -> str | None:
    """The folder for which a digest was noted; None if it was not made here."""
    for path in sorted(_state("proofs").glob("*.json")):
        folder, found = _read(path)
        if found == digest:
            return folder
    return None


def _state(kind: str) -> Path:
    return user_folder("XDG_STATE_HOME", ".local/state") / "partwise" / kind


def _note(kind: str, folder: Path) -> Path:
    return _state(kind) / f"{sha256_digest(os.fsencode(folder.resolve())).removeprefix('sha256:')}.json"


def _read(path: Path) -> tuple[str | None, str | None]:
    try:
        data = json_record(path.read_bytes(), _Note, str(path), what="is no note")
    except (OSError, InputError):
        return None, None
    return (data.folder, data.manifest) if is_digest(data.manifest) else (None, None)
