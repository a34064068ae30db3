"""A folder as a source: captured without weights, then asked for them; never with weights made up at random."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from partwise.errors import ModelError, UnsafeFileError
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions, as_captured
from partwise.ir import DType, Graph, graph_digest
from tiny_models import BERT, LLAMA, save_bert, write_config

_STATIC = CaptureOptions(static=True, batch=2, sequence=5)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Graph]:
    folder = tmp_path_factory.mktemp("bert")
    save_bert(folder)
    return folder, open_model(folder, _STATIC).capture()


def test_settings_say_how_to_capture_again(bert: tuple[Path, Graph]) -> None:
    folder, graph = bert
    settings = dict(graph.settings)
    assert settings["task"] == "BertForSequenceClassification"
    assert (settings["batch"], settings["sequence"], settings["dtype"]) == (2, 5, "float32")
    assert str(folder) not in json.dumps(settings)
    assert graph_digest(open_model(folder, as_captured(graph)).capture()) == graph_digest(graph)


def test_weights_and_reference_are_the_modules(bert: tuple[Path, Graph]) -> None:
    import torch

    folder, graph = bert
    module = save_bert(folder)
    source = open_model(folder)
    weights = source.weights(graph)
    key = "bert.encoder.layer.0.output.dense.weight"
    assert np.array_equal(weights[key], module.state_dict()[key].numpy())
    ids = np.arange(10).reshape(2, 5)
    with torch.no_grad():
        expected = module(torch.from_numpy(ids)).logits.numpy()
    (answer,) = source.answers(graph, [{"input_ids": ids, "attention_mask": np.ones_like(ids)}])
    assert np.array_equal(answer["logits"], expected)


def test_the_configs_dtype_or_the_one_asked_for(tmp_path: Path) -> None:
    folder = write_config(tmp_path, LLAMA)
    for asked, found in ((None, DType.BFLOAT16), ("float16", DType.FLOAT16)):
        graph = open_model(folder, CaptureOptions(static=True, dtype=asked)).capture()
        assert graph.spec["model.layers.0.mlp.up_proj.weight"].dtype is found
    with pytest.raises(ModelError, match="cannot hold a model's weights"):
        open_model(folder, CaptureOptions(dtype="int8")).capture()


def test_sharded_by_an_index(bert: tuple[Path, Graph], tmp_path: Path) -> None:
    _, graph = bert
    save_bert(tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    _shard(tmp_path, tensors)
    assert len(open_model(tmp_path).weights(graph)) == len(graph.weights)
    (tmp_path / "model-2-of-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks `model-2-of-2.safetensors`"):
        open_model(tmp_path).weights(graph)


def test_without_weights(bert: tuple[Path, Graph], tmp_path: Path) -> None:
    folder, graph = bert
    with pytest.raises(ModelError, match="--no-weights"):
        open_model(folder, CaptureOptions(weights=False)).weights(graph)
    with pytest.raises(ModelError, match="there are no weights"):
        open_model(write_config(tmp_path, BERT)).weights(graph)
    with pytest.raises(ModelError, match="there are no weights"):
        open_model(tmp_path / "config.json").weights(graph)


def test_missing_and_misshapen_weights_are_named(bert: tuple[Path, Graph], tmp_path: Path) -> None:
    _, graph = bert
    save_bert(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = safetensors.torch.load_file(path)
    lacking = {("other." + n if n.startswith("classifier") else n): value for n, value in whole.items()}
    safetensors.torch.save_file(lacking, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"lack `classifier.bias`, `classifier.weight`.*holds `other.classifier.bias`"):
        open_model(tmp_path).weights(graph)
    safetensors.torch.save_file(whole | {"classifier.bias": whole["classifier.bias"].repeat(2)}, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"do not fit .*: `classifier.bias \(4,\) for \(2,\)"):
        open_model(tmp_path).weights(graph)


def test_tensors_left_over_are_told_and_harmless(
    bert: tuple[Path, Graph], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, graph = bert
    save_bert(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = safetensors.torch.load_file(path)
    safetensors.torch.save_file(whole | {"extra.head": whole["classifier.bias"].clone()}, path, {"format": "pt"})
    with caplog.at_level(logging.WARNING, "partwise"):
        open_model(tmp_path).weights(graph)
    assert "`extra.head`" in caplog.text


def test_a_pickled_checkpoint_is_read_by_the_safe_way(bert: tuple[Path, Graph], tmp_path: Path) -> None:
    import torch

    _, graph = bert
    module = save_bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    weights = open_model(tmp_path).weights(graph)
    assert np.array_equal(weights["classifier.bias"], module.state_dict()["classifier.bias"].numpy())
    torch.save(module, tmp_path / "pytorch_model.bin")
    with pytest.raises(UnsafeFileError, match="whole pickled module"):
        open_model(tmp_path).weights(graph)


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "something_new"])
def test_quantized_beyond_reading(method: str, bert: tuple[Path, Graph], tmp_path: Path) -> None:
    _, graph = bert
    save_bert(tmp_path)
    write_config(tmp_path, BERT, quantization_config={"quant_method": method})
    source = open_model(tmp_path, _STATIC)
    assert f"quantized ({method})" in source.capture().notes[0]
    with pytest.raises(ModelError, match=f"quantized \\({method}\\), which is not read"):
        source.weights(graph)


def _shard(folder: Path, tensors: dict[str, object]) -> None:
    names = sorted(tensors)
    halves = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for file, held in halves.items():
        safetensors.torch.save_file({n: tensors[n] for n in held}, folder / file, {"format": "pt"})  # type: ignore[misc]
    index = {"weight_map": {name: file for file, held in halves.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
