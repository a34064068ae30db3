"""A file of weights with the function that builds its module, or with a config."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import tiny_models
from partwise.errors import ModelError
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions, as_captured

_MODULE = CaptureOptions(module="tiny_models:mlp_with_inputs")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin", ".pkl", ".ckpt"])
def test_with_a_function(suffix: str, tmp_path: Path) -> None:
    path, tensors = _save(tmp_path / f"w{suffix}")
    source = open_model(path, _MODULE)
    graph = source.capture()
    weights = source.weights(graph)
    assert np.array_equal(weights["0.weight"], tensors["0.weight"].numpy())
    (answer,) = source.answers(graph, [{"input": np.ones((2, 4), np.float32)}])
    module = tiny_models.mlp()
    module.load_state_dict(tensors)
    with torch.no_grad():
        assert np.array_equal(answer["output"], module(torch.ones(2, 4)).numpy())


@pytest.mark.parametrize("suffix", [".safetensors", ".pkl"])
def test_with_a_config(suffix: str, tmp_path: Path) -> None:
    module = tiny_models.save_bert(tmp_path / "config")
    tensors = {name: value.clone() for name, value in module.state_dict().items()}
    path = tmp_path / f"w{suffix}"
    save_file(tensors, path) if suffix == ".safetensors" else path.write_bytes(pickle.dumps(tensors))
    for config in (tmp_path / "config", tmp_path / "config" / "config.json"):
        options = CaptureOptions(config=str(config), static=True)
        source = open_model(path, options)
        graph = source.capture()
        assert len(open_model(path, as_captured(graph, options)).weights(graph)) == len(graph.weights)


def test_dtype_and_no_weights(tmp_path: Path) -> None:
    path, _ = _save(tmp_path / "w.safetensors")
    inputs = (torch.zeros(2, 4, dtype=torch.float64),)
    graph = open_model(path, CaptureOptions(module="tiny_models:mlp", dtype="float64", example_inputs=inputs)).capture()
    assert graph.spec["0.weight"].dtype == "float64"
    assert as_captured(graph).dtype == "float64"
    with pytest.raises(ModelError, match="--no-weights"):
        open_model(path, CaptureOptions(module="tiny_models:mlp_with_inputs", weights=False)).weights(graph)
    with pytest.raises(ModelError, match="no floating-point type"):
        open_model(path, CaptureOptions(module="tiny_models:mlp_with_inputs", dtype="load"))


def test_names_and_shapes_must_fit(tmp_path: Path) -> None:
    path, tensors = _save(tmp_path / "w.safetensors")
    source = open_model(path, _MODULE)
    graph = source.capture()
    save_file({("0.wait" if n == "0.weight" else n): value for n, value in tensors.items()}, path)
    with pytest.raises(ModelError, match=r"expected `0.weight`, got `0.wait`"):
        source.weights(graph)
    save_file(tensors | {"2.bias": torch.zeros(7)}, path)
    with pytest.raises(ModelError, match=r"`2.bias`.*expected \(2,\), got \(7,\)"):
        source.weights(graph)


def _save(path: Path) -> tuple[Path, dict[str, Any]]:
    torch.manual_seed(1)
    tensors = {name: torch.randn_like(value) for name, value in tiny_models.mlp().state_dict().items()}
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    return path, tensors
