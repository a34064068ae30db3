"""The optimizer's file: where the disk refuses it, the disk is named and not the model."""

from __future__ import annotations

import resource
from collections.abc import Generator
from pathlib import Path

import pytest

import onnx_models
from partwise.errors import InputError, ModelError
from partwise.frontends.onnx.optimize import optimize, writing


@pytest.fixture
def small_files() -> Generator[None]:
    """No file of this process may grow beyond 1 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = onnx_models.save(onnx_models.conv_net(), tmp_path / "m.onnx")
    request.getfixturevalue("small_files")
    with pytest.raises(InputError, match=r"cannot be written here.*is the disk full") as caught:
        optimize(path, "basic")
    assert not isinstance(caught.value, ModelError)
    with pytest.raises(InputError, match=r"cannot be written here \(File too large\)"), writing(tmp_path):
        (tmp_path / "large").write_bytes(bytes(2048))
