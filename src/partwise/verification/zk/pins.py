"""What this machine's own `compile` made: the digest of its manifest, noted outside everything that travels.

    $XDG_STATE_HOME/partwise/proofs/<sha256 of the folder's path>.json     {"folder": ..., "manifest": ...}

A manifest that comes along with proofs is believed only if the client names its digest, or this note does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from partwise.digest import canonical_json, is_digest, sha256_digest
from partwise.errors import InputError
from partwise.files import write_whole

__all__ = ["note_manifest", "noted_anywhere", "noted_manifest"]


def note_manifest(folder: Path, digest: str) -> None:
    """Note that a folder's manifest was made here.

    Raises:
        InputError: the state folder cannot be written.
    """
    path = _note(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(str(path.parent), f"cannot be made ({error.strerror})") from None
    write_whole(path, canonical_json({"folder": str(folder.resolve()), "manifest": digest}))


def noted_manifest(folder: Path) -> str | None:
    """The digest noted for a folder; None where nothing was compiled there on this machine."""
    return _read(_note(folder))[1]


def noted_anywhere(digest: str) -> str | None:
    """The folder for which a digest was noted; None if it was not made here."""
    for path in sorted(_state().glob("*.json")):
        folder, found = _read(path)
        if found == digest:
            return folder
    return None


def _state() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "partwise" / "proofs"


def _note(folder: Path) -> Path:
    return _state() / f"{sha256_digest(os.fsencode(folder.resolve())).removeprefix('sha256:')}.json"


def _read(path: Path) -> tuple[str | None, str | None]:
    try:
        data: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None, None
    if not isinstance(data, dict) or not is_digest(str(data.get("manifest"))):  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        return None, None
    return str(data.get("folder")), str(data["manifest"])  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
