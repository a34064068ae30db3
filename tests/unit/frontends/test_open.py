"""Detection: each kind of model finds its frontend, and each wrong turn is explained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny_models
from partwise.errors import InputError, ModelError
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


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("m.onnx", {"dtype": "float16"}, "is an ONNX file, to which --dtype does not apply; got float16"),
        ("m.onnx", {"task": "BertModel"}, "--task does not apply"),
        ("m.onnx", {"config": "c"}, "--config does not apply"),
        ("m.onnx", {"module": "a:b"}, "--module does not apply"),
        ("m.pt2", {"static": True}, "--static does not apply"),
        ("m.pt2", {"dtype": "float16"}, "--dtype does not apply"),
        ("g.json", {"image_size": 64}, "is a saved graph, to which --image-size does not apply"),
        ("g.json", {"optimize": "off"}, "--optimize does not apply"),
        ("w.safetensors", {"optimize": "off"}, "is a file of weights, to which --optimize does not apply"),
        ("w.safetensors", {"module": "a:b", "task": "BertModel"}, "--task does not apply"),
        ("folder", {"config": "c"}, "is a model of transformers, to which --config does not apply"),
        ("tiny_models:mlp", {"dtype": "float16"}, "is a module that your code builds, to which --dtype does not"),
        ("resnet18", {"optimize": "off"}, "--optimize does not apply"),
    ],
)
def test_what_does_not_apply_is_refused(file: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Before anything is read: none of these files is what its name says."""
    for name in ("m.onnx", "m.pt2", "w.safetensors", "folder/config.json"):
        _write(tmp_path / name, "x")
    _write(tmp_path / "g.json", '{"version": "partwise.graph/1"}')
    path = tmp_path / file
    with pytest.raises(InputError, match=message):
        open_model(path if path.exists() else file, CaptureOptions(**options))


def test_a_module_in_memory_has_its_own_type() -> None:
    with pytest.raises(InputError, match="--dtype does not apply"):
        open_model(tiny_models.mlp(), CaptureOptions(dtype="float16"))


def test_settings_of_a_capture_are_not_what_was_asked_for() -> None:
    """A plan of another kind of model is stale, whatever its settings were: the graph says so, not the options."""
    graph = open_model("tiny_models:mlp_with_inputs").capture()
    other = replace(graph, settings=(("dtype", "float16"), ("optimize", "all")))
    assert open_model("tiny_models:mlp_with_inputs", captured=other).capture() == graph


def test_a_name_too_long_for_a_file() -> None:
    with pytest.raises(ModelError, match="cannot be looked at"):
        open_model("x" * 5000 + "/model.onnx")


def test_a_version_far_into_a_saved_graph_is_found(tmp_path: Path) -> None:
    text = json.dumps({"filler": "x" * ((1 << 20) - 20), "version": "partwise.graph/1"})
    assert type(open_model(_write(tmp_path / "g.json", text))).__name__ == "SavedGraph"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
