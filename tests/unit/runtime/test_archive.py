"""Arrays in .npz files: every type comes back, and a hostile file is an error."""

from __future__ import annotations

import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from partwise.errors import InputError
from partwise.runtime.archive import read_archive, write_archive

TYPES = ["bool", "int64", "uint8", "float16", "float32", "float64", "complex64",
         "bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_comes_back(tmp_path: Path, kind: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, kind, kind))
    array = np.arange(6).reshape(2, 3).astype(dtype)
    write_archive(tmp_path / "a.npz", {"a": array, "scalar": array[0, 1], "none": array[:0]})
    found = read_archive(tmp_path / "a.npz")
    assert list(found) == ["a", "scalar", "none"]
    assert found["a"].dtype == dtype
    assert found["a"].tobytes() == array.tobytes()
    assert found["scalar"].shape == ()
    assert found["none"].shape == (0, 3)


def test_other_readers_see_integers_of_the_same_bits(tmp_path: Path) -> None:
    array = np.ones(2, ml_dtypes.bfloat16)
    write_archive(tmp_path / "a.npz", {"a": array})
    with np.load(tmp_path / "a.npz") as other:
        assert other["a@bfloat16"].tolist() == array.view(np.uint16).tolist()


def test_equal_arrays_give_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_archive(tmp_path / name, {"x": np.arange(3)})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="holds Python objects, which are never unpickled"):
        read_archive(tmp_path / "a.npz")


def test_a_lying_shape_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"1234")
    with pytest.raises(InputError, match="lies about its size"):
        read_archive(tmp_path / "a.npz")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04 cut short"])
def test_what_is_no_archive_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InputError):
        read_archive(tmp_path / "a.npz")


def test_a_truncated_archive_is_an_error(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.npz", {"x": np.arange(300)})
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-200])
    with pytest.raises(InputError):
        read_archive(tmp_path / "a.npz")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_archive(tmp_path / "a.npz")
