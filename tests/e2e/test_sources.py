"""Whole ways from each kind of source: captured, planned, cut, run in parts, compared with the model's own answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import partwise
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions, as_captured
from partwise.ir import Graph, graph_digest
from partwise.ir.dims import evaluate_shape
from tiny_models import mlp, save_bert

_TEXT: dict[str, Any] = {
    "vocab_size": 41, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 32,
}  # fmt: skip
_VISION: dict[str, Any] = {
    "image_size": 16, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24,
}  # fmt: skip
_PAIR: dict[str, Any] = {
    "vocab_size": 41, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
}  # fmt: skip
_FOLDERS: dict[str, Callable[[], Any]] = {
    "BertForMaskedLM": lambda: transformers.BertConfig(**_TEXT),
    "BertForMultipleChoice": lambda: transformers.BertConfig(**_TEXT),
    "LlamaForCausalLM": lambda: transformers.LlamaConfig(**_TEXT, num_key_value_heads=1),
    "ViTForImageClassification": lambda: transformers.ViTConfig(**_VISION),
    "CLIPModel": lambda: transformers.CLIPConfig(text_config=_TEXT, vision_config=_VISION),
    "BartForConditionalGeneration": lambda: transformers.BartConfig(**_PAIR, max_position_embeddings=32),
    "WhisperForConditionalGeneration": lambda: transformers.WhisperConfig(
        **_PAIR, num_mel_bins=8, max_source_positions=10, max_target_positions=32, pad_token_id=0
    ),
    "Wav2Vec2ForCTC": lambda: transformers.Wav2Vec2Config(
        **{k: v for k, v in _TEXT.items() if k != "max_position_embeddings"},
        conv_dim=(8, 8), conv_stride=(5, 2), conv_kernel=(10, 3),
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    ),
    "VisionEncoderDecoderModel": lambda: transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.ViTConfig(**_VISION),
        transformers.GPT2Config(vocab_size=41, n_embd=16, n_layer=1, n_head=2, n_positions=32),
    ),
}  # fmt: skip
_QUICK = ("LlamaForCausalLM", "ViTForImageClassification", "CLIPModel")


@pytest.mark.parametrize("name", [n if n in _QUICK else pytest.param(n, marks=pytest.mark.slow) for n in _FOLDERS])
def test_hugging_face_folders(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    getattr(transformers, name)(_FOLDERS[name]()).eval().save_pretrained(folder)
    sequence = None if name.startswith("Wav2Vec2") else 6  # there it would be six samples of sound
    graph = partwise.capture(folder, batch=2, sequence=sequence, static=name in _QUICK)
    assert dict(graph.settings)["task"] == name
    _whole_way(folder, graph, tmp_path / "package")


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_another_dtype(dtype: str, tmp_path: Path) -> None:
    save_bert(tmp_path / "model")
    graph = partwise.capture(tmp_path / "model", dtype=dtype, static=True)
    _whole_way(tmp_path / "model", graph, tmp_path / "package")


def test_a_pickled_state_dict_with_a_function(tmp_path: Path) -> None:
    torch.manual_seed(2)
    path = tmp_path / "w.pkl"
    torch.save({"state_dict": {n: torch.randn_like(v) for n, v in mlp().state_dict().items()}}, path)
    options: dict[str, Any] = {"module": "tiny_models:mlp_with_inputs"}
    _whole_way(path, partwise.capture(path, **options), tmp_path / "package", options)


@pytest.mark.filterwarnings("ignore")
def test_an_exported_archive(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    shapes = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(mlp(), (torch.zeros(3, 4),), dynamic_shapes=shapes, strict=False)
    torch.export.save(program.run_decompositions({}), path)
    _whole_way(path, partwise.capture(path), tmp_path / "package")


def test_a_saved_graph_is_planned_and_cut_from_its_model(tmp_path: Path) -> None:
    from partwise.digest import canonical_json
    from partwise.ir import graph_to_data

    save_bert(tmp_path / "model")
    graph = partwise.capture(tmp_path / "model", static=True)
    (tmp_path / "graph.json").write_bytes(canonical_json(graph_to_data(graph)))
    saved = partwise.capture(tmp_path / "graph.json")
    assert graph_digest(saved) == graph_digest(graph)
    _whole_way(tmp_path / "model", saved, tmp_path / "package")


def _whole_way(model: Path, graph: Graph, package: Path, options: dict[str, Any] | None = None) -> None:
    """Cut in three, run, and compare with the source's own answer; `cut` captures again and refuses another graph."""
    source = open_model(model, as_captured(graph, CaptureOptions(**(options or {}))))
    inputs = _inputs(graph)
    (expected,) = source.answers(graph, [inputs])
    plan = partwise.plan(graph, stages=min(3, len(graph.nodes)))
    cut = partwise.cut(model, plan, package, check=False, **(options or {}))  # captures again, and compares
    outputs = partwise.run(cut, inputs).outputs
    assert outputs.keys() == expected.keys()
    for name, value in expected.items():
        wide = value.astype(np.float64)
        scale = float(np.abs(wide).max()) or 1.0
        assert float(np.abs(outputs[name].astype(np.float64) - wide).max()) <= 1e-5 * scale, name


def _inputs(graph: Graph) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    found = dict[str, np.ndarray]()
    for name in graph.inputs:
        spec = graph.spec[name]
        shape = evaluate_shape(spec.shape or (), graph.hints)
        if spec.dtype.is_float:
            found[name] = random.standard_normal(shape).astype(np.float32)
        else:
            found[name] = np.ones(shape, np.int64) if "mask" in name else random.integers(0, 30, shape)
    return found
