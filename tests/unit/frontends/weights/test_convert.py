"""Every honest way to save a state dict comes back bit for bit, through the process that reads it."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from partwise.errors import ModelError, UnsafeFileError
from partwise.frontends.weights.convert import to_safetensors
from partwise.frontends.weights.header import check_safetensors


def _tensors() -> dict[str, Any]:
    torch.manual_seed(0)
    shared = torch.randn(12)
    return {
        "dense": torch.randn(3, 4),
        "transposed": torch.randn(4, 6).t(),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "part": shared[3:7],
        "every_other": shared[::2],
        "whole": shared,
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "flags": torch.tensor([True, False]),
        "indices": torch.arange(5),
        "half": torch.randn(3).half(),
        "brain": torch.randn(3).bfloat16(),
        "eighth": torch.randn(3).to(torch.float8_e4m3fn),
        "unsigned": torch.tensor([1, 2], dtype=torch.uint16),
    }


_SAVERS: dict[str, Callable[[Any, Path], None]] = {
    "zip": lambda value, path: torch.save(value, path),
    "legacy": lambda value, path: torch.save(value, path, _use_new_zipfile_serialization=False),
    "pickle": lambda value, path: path.write_bytes(pickle.dumps(value)),
    "pickle2": lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2)),
}


@pytest.mark.parametrize("saver", _SAVERS)
def test_torch_tensors(saver: str, tmp_path: Path) -> None:
    tensors = _tensors()
    _SAVERS[saver](tensors, tmp_path / "w.pt")
    _assert_same(_convert(tmp_path), {name: value.detach() for name, value in tensors.items()})


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_numpy_arrays(protocol: int, tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "c": np.array(True),
    }
    (tmp_path / "w.pt").write_bytes(pickle.dumps(arrays | {"step": 3, "note": "x"}, protocol=protocol))
    _assert_same(_convert(tmp_path), {name: torch.from_numpy(value.copy()) for name, value in arrays.items()})


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_nested_state_dict_is_unwrapped_with_a_note(
    key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inner = {"module.a": torch.ones(2), "module.b": torch.zeros(3)}
    torch.save({"epoch": 3, key: inner, "optimizer": {"lr": [0.1]}}, tmp_path / "w.pt")
    with caplog.at_level(logging.WARNING, "partwise"):
        found = _convert(tmp_path)
    assert found.keys() == {"a", "b"}
    assert f"under `{key}`" in caplog.text
    assert "DataParallel" in caplog.text


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"hello world"), "is no pickle of a state dict"),
        (lambda path: path.write_bytes(pickle.dumps([1, 2])), "holds no state dict, but a list"),
        (lambda path: torch.save({"lr": 0.1}, path), "holds no state dict, but a dict"),
        (lambda path: path.write_bytes(_zipped()[: -len(_zipped()) // 2]), "is"),
        (lambda path: path.write_bytes(pickle.dumps({"a": np.array([{}, {}], dtype=object)})), "no little-endian"),
        (lambda path: path.write_bytes(pickle.dumps({"a": np.arange(3).astype(">i4")})), "no little-endian"),
    ],
)
def test_files_that_are_no_state_dict(write: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    write(tmp_path / "w.pt")
    with pytest.raises(ModelError, match=message):
        _convert(tmp_path)


@pytest.mark.parametrize("saver", _SAVERS)
def test_a_whole_module_is_refused_with_advice(saver: str, tmp_path: Path) -> None:
    _SAVERS[saver](torch.nn.Sequential(torch.nn.Linear(2, 2)), tmp_path / "w.pt")
    with pytest.raises(UnsafeFileError, match=r"whole pickled module.*torch\.nn\.modules\.linear\.Linear.*state_dict"):
        _convert(tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "w.pt")
    with pytest.raises(ModelError, match="TorchScript program"):
        _convert(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_an_exported_program_under_another_suffix_is_told_apart(tmp_path: Path) -> None:
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),), strict=False)
    torch.export.save(program, tmp_path / "m.pt2")
    (tmp_path / "m.pt2").rename(tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"read under the suffix \.pt2"):
        _convert(tmp_path)


def _zipped() -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save({"a": torch.ones(100)}, buffer)
    return buffer.getvalue()


def _convert(folder: Path) -> dict[str, torch.Tensor]:
    out = folder / "w.safetensors"
    to_safetensors(folder / "w.pt", out)
    check_safetensors(out)
    return load_file(out)


def _assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
        left, right = (t.contiguous().reshape(-1).view(torch.uint8) for t in (found[name], value))
        assert torch.equal(left, right), name
