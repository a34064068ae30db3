"""The header of a safetensors file, checked before anything is read through it.

Format: 8 bytes little-endian length, that many bytes of JSON {name: {dtype, shape, data_offsets}}, then the data
(https://github.com/huggingface/safetensors#format). The data must fill the file: no overlap, no gap, no overrun.
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import Any

from partwise.errors import ModelError
from partwise.frontends.untrusted import as_dict, as_list
from partwise.packaging.arrays import is_possible
from partwise.strict_json import json_value

__all__ = ["check_safetensors", "read_header"]

_MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def check_safetensors(path: Path) -> None:
    """Raise unless the header describes exactly the bytes of the file.

    Raises:
        ModelError: it is no safetensors file, is truncated, or its header lies; the tensor is named.
    """
    header, data_bytes = read_header(path)
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = entry["data_offsets"]
        size = (prod(entry["shape"]) * _BITS[entry["dtype"]] + 7) // 8
        if start != end or stop - start != size:
            raise _broken(path, f"tensor `{name}` lies", expected=f"{size} bytes from {end}", got=f"{start} to {stop}")
        end = stop
    if end != data_bytes:
        raise _broken(path, "holds another number of bytes than its header says", expected=end, got=data_bytes)


def read_header(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """The entries of the header, metadata left out, and the bytes of data behind it.

    Raises:
        ModelError: it is no safetensors file.
    """
    total = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= min(total - 8, _MAX_HEADER_BYTES):
            what = "is no safetensors file, or truncated"
            raise _broken(path, what, expected=f"a header within {total} bytes", got=length)
        data = json_value(file.read(length), f"header of {path}", ModelError)
    entries: dict[str, Any] = as_dict(data) or {"": None}
    entries.pop("__metadata__", None)
    for name, entry in entries.items():
        if not _is_entry(entry):
            raise _broken(path, f"tensor `{name}` is not described", expected="dtype, shape, data_offsets")
    return entries, total - 8 - length


def _is_entry(entry: Any) -> bool:
    match entry:
        case {"dtype": str(dtype), "shape": list(), "data_offsets": [int(), int()]}:
            numbers = [*as_list(entry["shape"]), *as_list(entry["data_offsets"])]
            return dtype in _BITS and all(type(n) is int for n in numbers) and is_possible(as_list(entry["shape"]))
        case _:
            return False


def _broken(path: Path, what: str, **facts: object) -> ModelError:
    return ModelError(str(path), what, hint="fetch or save the file again.", **facts)
