"""Quantized checkpoints and GGUF: what is missing is one pip line."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from partwise.errors import MissingExtraError, ModelError
from partwise.frontends.huggingface.config import from_data
from partwise.frontends.huggingface.quantized import dequantizer, quantization_note
from partwise.frontends.open import open_model
from tiny_models import LLAMA

_FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e4m3", "activation_scheme": "dynamic"}


def _have(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Pretend that of the optional packages exactly these are installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in packages else None)


@pytest.mark.parametrize(
    ("method", "package"), [("fp8", "accelerate"), ("mxfp4", "accelerate"), ("compressed-tensors", "accelerate")]
)
def test_a_missing_package_is_one_pip_line(method: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _have(monkeypatch)
    source = from_data(LLAMA | {"quantization_config": {"quant_method": method}}, "m")
    with pytest.raises(MissingExtraError, match=f"pip install {package}"):
        dequantizer(source)


def test_transformers_is_told_to_dequantize(monkeypatch: pytest.MonkeyPatch) -> None:
    source = from_data(LLAMA | {"quantization_config": _FP8}, "m")
    _have(monkeypatch, "accelerate")
    settings = dequantizer(source)
    assert settings.dequantize is True
    assert tuple(settings.weight_block_size) == (128, 128)
    assert "quantized (fp8)" in quantization_note(source.quantization)[0]
    assert quantization_note(None) == ()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "awq"}, "awq"),
        ({"load_in_4bit": True}, "bitsandbytes"),
        ({"bits": 3}, "unknown"),
    ],
)
def test_the_others_are_refused_by_name(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ModelError, match=f"quantized \\({name}\\)"):
        dequantizer(from_data(LLAMA | {"quantization_config": settings}, "m"))


def test_gguf_without_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    _have(monkeypatch)
    with pytest.raises(MissingExtraError, match="pip install gguf accelerate"):
        open_model(tmp_path / "m.gguf")
