"""The weight files of a folder: found, checked by their headers, and staged for transformers to read.

transformers is never pointed at the folder itself: it would follow an adapter, a sharded index that leaves the
folder, or a pickle. It gets a temporary folder with links to the safetensors files found here, and nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from partwise.errors import ModelError, UnsafeFileError
from partwise.frontends.untrusted import as_dict
from partwise.frontends.weights.header import check_safetensors
from partwise.strict_json import json_object

__all__ = ["GGUF_NAME", "Checkpoint", "FileKind", "find_checkpoint", "link_files"]

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
GGUF_NAME = "model.gguf"
_MAX_INDEX_BYTES = 64 << 20
"""The index of DeepSeek-V3 (91,991 tensors) has 8.9 MB."""


class FileKind(StrEnum):
    """How the files hold tensors."""

    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    """torch's or Python's own, read by `unpickling` alone."""
    GGUF = "gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Files that hold the weights."""

    files: tuple[Path, ...]
    index: dict[str, str] | None
    """Tensor name -> file name, for a sharded one."""
    kind: FileKind = FileKind.SAFETENSORS


_NAMES = (
    (_SINGLE, _INDEX, FileKind.SAFETENSORS),
    ("pytorch_model.bin", "pytorch_model.bin.index.json", FileKind.PICKLE),
)


def find_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint in a folder; None where it holds only a config.

    Raises:
        ModelError: a shard is missing, or the index is no index.
        UnsafeFileError: a file leads outside the folder.
    """
    for single, index, kind in _NAMES:
        if (folder / index).is_file():
            shards = _read_index(folder, index)
            files = tuple(_within(folder, name) for name in sorted(set(shards.values())))
            return Checkpoint(files=files, index=shards, kind=kind)
        if (folder / single).is_file():
            return Checkpoint(files=(_within(folder, single),), index=None, kind=kind)
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if len(others) == 1:
        return Checkpoint(files=(_within(folder, others[0]),), index=None)
    if others:
        what = "holds several safetensors files and no index"
        raise ModelError(str(folder), what, expected=_INDEX, got=", ".join(others[:4]))
    return None


def link_files(checkpoint: Checkpoint, folder: Path) -> None:
    """Link checked files into an empty folder, under the names that transformers looks for.

    Raises:
        ModelError: a file is no safetensors file, or its header lies.
    """
    if checkpoint.kind is FileKind.GGUF:
        (folder / GGUF_NAME).symlink_to(checkpoint.files[0].resolve())
        return
    for file in checkpoint.files:
        check_safetensors(file)
    if checkpoint.index is None:
        (folder / _SINGLE).symlink_to(checkpoint.files[0].resolve())
        return
    for file in checkpoint.files:
        (folder / file.name).symlink_to(file.resolve())
    (folder / _INDEX).write_text(json.dumps({"metadata": {}, "weight_map": checkpoint.index}))


def _read_index(folder: Path, name: str) -> dict[str, str]:
    path = _within(folder, name)
    expected = '{"weight_map": {tensor: file}}'
    data = json_object(path, expected=expected, error=ModelError, most_bytes=_MAX_INDEX_BYTES)
    shards = as_dict(data.get("weight_map"))
    if not shards or not all(isinstance(name, str) for name in shards.values()):
        raise ModelError(str(path), "is no index", expected=expected)
    return shards


def _within(folder: Path, name: str) -> Path:
    """The path of a file of the folder.

    Raises:
        UnsafeFileError: the name, or the link behind it, leaves the folder (a hub cache's links to its own
            blobs do not).
        ModelError: it does not exist.
    """
    path = folder / name
    if Path(name).name != name:
        raise UnsafeFileError(str(folder), "its index names a file elsewhere", expected="plain file names", got=name)
    if not path.is_file():
        raise ModelError(str(folder), f"lacks `{name}`, which its index names", hint="was it downloaded whole?")
    if not any(path.resolve().is_relative_to(home) for home in _homes(folder)):
        hint = "copy the file into the folder."
        raise UnsafeFileError(str(path), "is a link that leaves its folder", got=path.resolve(), hint=hint)
    return path


def _homes(folder: Path) -> tuple[Path, ...]:
    """Where a folder's files may really lie: in it, or where the hub's cache has them (`blobs`)."""
    real = folder.resolve()
    return (real, real.parent.parent / "blobs") if real.parent.name == "snapshots" else (real,)
