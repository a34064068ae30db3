"""The header of a safetensors file must describe exactly its bytes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from partwise.errors import ModelError
from partwise.frontends.weights.header import check_safetensors, read_header

_TWO = {
    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "b": {"dtype": "BF16", "shape": [3], "data_offsets": [8, 14]},
}


def test_an_honest_file(tmp_path: Path) -> None:
    path = _file(tmp_path, {"__metadata__": {"format": "pt"}, **_TWO}, 14)
    check_safetensors(path)
    assert read_header(path) == (_TWO, 14)


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (_TWO, 13, "another number of bytes"),
        (_TWO, 15, "another number of bytes"),
        ({"a": _TWO["a"] | {"data_offsets": [0, 1 << 40]}}, 8, "tensor `a` lies"),
        ({"a": _TWO["a"] | {"shape": [1 << 40]}}, 8, "tensor `a` lies"),
        ({"a": _TWO["a"], "b": _TWO["b"] | {"data_offsets": [4, 10]}}, 10, "tensor `b` lies"),
        ({"a": _TWO["a"] | {"shape": [-2]}}, 8, "`a` is not described"),
        ({"a": _TWO["a"] | {"dtype": "PYOBJECT"}}, 8, "`a` is not described"),
        ({"a": 3}, 8, "`a` is not described"),
        ([1], 8, "is not described"),
    ],
)
def test_lies(header: Any, data: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        check_safetensors(_file(tmp_path, header, data))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01", struct.pack("<Q", 1 << 60) + b"{}", struct.pack("<Q", 9) + b"{}", struct.pack("<Q", 2) + b"{["],
)
def test_no_header(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"is no safetensors file|is no JSON"):
        check_safetensors(path)


def _file(folder: Path, header: Any, data: int) -> Path:
    text = json.dumps(header).encode()
    path = folder / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))
    return path
