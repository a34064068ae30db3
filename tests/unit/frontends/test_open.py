"""Detection: each kind of model finds its frontend, and each wrong turn is explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tiny_models
from partwise.errors import ModelError
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda folder: tiny_models.write_config(folder / "m", tiny_models.BERT), "HuggingFaceModel"),
        (lambda folder: tiny_models.write_config(folder / "m", tiny_models.BERT) / "config.json", "HuggingFaceModel"),
        (lambda folder: _write(folder / "g.json", '{"a": 1, "version": "partwise.graph/1"}'), "SavedGraph"),
        (lambda _: "tiny_models:mlp_with_inputs", "TorchModel"),
        (lambda _: tiny_models.mlp(), "TorchModel"),
    ],
)
def test_each_kind_finds_its_frontend(make: object, kind: str, tmp_path: Path) -> None:
    assert type(open_model(make(tmp_path))).__name__ == kind  # type: ignore[operator]


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        ({}, "missing.onnx", "does not exist"),
        ({}, "folder/model.safetensors", "does not exist"),
        ({"empty.onnx": ""}, "empty.onnx", "is empty"),
        ({"empty.pt": ""}, "empty.pt", "is empty"),
        ({"notes.txt": "x"}, "notes.txt", "suffix `.txt`"),
        ({"x.json": '{"b": 1, "a": 2}'}, "x.json", "an object with a, b"),
        ({"x.json": "{"}, "x.json", "text that does not parse"),
        ({"m/readme.md": "x"}, "m", "folder without config.json"),
        ({"m/adapter_config.json": "{}"}, "m", "merge the adapter"),
        ({"m/model_index.json": "{}"}, "m", "diffusers"),
        ({"m/manifest.json": "{}"}, "m", "is a package already"),
        ({"w.safetensors": "x"}, "w.safetensors", "--config or --module"),
        ({"w.pkl": "x"}, "w.pkl", "partwise plan --model"),
    ],
)
def test_wrong_turns_are_explained(files: dict[str, str], name: str, message: str, tmp_path: Path) -> None:
    for path, text in files.items():
        _write(tmp_path / path, text)
    with pytest.raises(ModelError, match=message):
        open_model(tmp_path / name)


@pytest.mark.parametrize("name", ["a b", "json:", "no-such:1x", "x::y"])
def test_names_that_are_nothing(name: str) -> None:
    with pytest.raises(ModelError, match=r"is no|is neither|does not exist"):
        open_model(name)


def test_weights_take_one_of_config_and_module(tmp_path: Path) -> None:
    path = _write(tmp_path / "w.safetensors", "x")
    with pytest.raises(ModelError, match="both"):
        open_model(path, CaptureOptions(config="a", module="b:c"))
    with pytest.raises(ModelError, match="does not exist"):
        open_model(path, CaptureOptions(config=str(tmp_path / "nowhere")))


def test_a_version_far_into_a_saved_graph_is_found(tmp_path: Path) -> None:
    text = json.dumps({"filler": "x" * ((1 << 20) - 20), "version": "partwise.graph/1"})
    assert type(open_model(_write(tmp_path / "g.json", text))).__name__ == "SavedGraph"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
