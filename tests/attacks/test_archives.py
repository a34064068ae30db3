"""Archives from strangers, broken in each way that zipfile knows: an error of ours, never a traceback."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from partwise.errors import InputError
from partwise.runtime.archive import read_archive
from partwise.verification.zk.bundle import read_bundle

CENTRAL = b"PK\x01\x02"


def archive(method: int = zipfile.ZIP_STORED) -> bytearray:
    memory, member = io.BytesIO(), io.BytesIO()
    np.save(member, np.arange(4000))
    with zipfile.ZipFile(memory, "w", method) as made:
        made.writestr("x.npy", member.getvalue())
    return bytearray(memory.getvalue())


def encrypted() -> bytes:
    data = archive()
    data[6] |= 1
    data[data.find(CENTRAL) + 8] |= 1
    return bytes(data)


def damaged(method: int) -> Callable[[], bytes]:
    def make() -> bytes:
        data = archive(method)
        data[60:120] = b"\xff" * 60
        return bytes(data)

    return make


def unknown_method() -> bytes:
    data = archive()
    for at in (8, data.find(CENTRAL) + 10):
        data[at : at + 2] = struct.pack("<H", 97)
    return bytes(data)


def outside() -> bytes:
    data = archive()
    at = data.find(CENTRAL) + 42
    data[at : at + 4] = struct.pack("<I", len(data) - 5)
    return bytes(data)


BROKEN = {
    "encrypted": encrypted,
    "deflate": damaged(zipfile.ZIP_DEFLATED),
    "bzip2": damaged(zipfile.ZIP_BZIP2),
    "lzma": damaged(zipfile.ZIP_LZMA),
    "method": unknown_method,
    "outside": outside,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_archive_is_an_error_of_ours(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(BROKEN[name]())
    with pytest.raises(InputError, match=r"x\.npz"):
        read_archive(path)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_of_proofs_is_a_problem(name: str, tmp_path: Path) -> None:
    path = tmp_path / "proofs.zip"
    path.write_bytes(BROKEN[name]())
    assert read_bundle(path).problems


@pytest.mark.parametrize("header", [b"(" * 3000, b"{'descr': open('mark', 'w')}", b"{", b"", b"\0" * 64])
def test_a_header_that_is_no_literal(header: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a.npz", "w") as made:
        made.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with pytest.raises(InputError, match="cannot be read"):
        read_archive(Path("a.npz"))
    assert not Path("mark").exists()


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 MiB of zeros in 16 KiB, where 8 MiB are free."""
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(1 << 24, np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 15
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 23))
    with pytest.raises(InputError, match=r"unpacks to 16\.0 MiB, and 8\.00 MiB of memory are free"):
        read_archive(tmp_path / "a.npz")
