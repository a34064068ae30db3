"""A language model's K/V as inputs, outputs and state of its graph."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from partwise.errors import ModelError
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions, as_captured
from partwise.ir import Graph, graph_digest
from tiny_models import BERT, LLAMA, write_config

MAMBA = {"model_type": "mamba", "architectures": ["MambaForCausalLM"], "vocab_size": 97, "hidden_size": 32,
         "num_hidden_layers": 2, "state_size": 8}  # fmt: skip


def test_buffers_are_inputs_outputs_and_state(cached_llama: tuple[Path, Graph]) -> None:
    _, graph = cached_llama
    states = [mutation.target for mutation in graph.mutations]
    assert states == [f"{kind}_{layer}" for layer in range(LLAMA["num_hidden_layers"]) for kind in ("key", "value")]
    assert set(states) <= set(graph.inputs)
    assert {output.name for output in graph.outputs} == {"logits", *states}
    heads, width = LLAMA["num_key_value_heads"], LLAMA["hidden_size"] // LLAMA["num_attention_heads"]
    assert all(graph.spec[name].shape == ("batch", heads, "capacity", width) for name in states)
    assert sorted(graph.writes.values()) == sorted(states)


def test_every_size_is_a_symbol(cached_llama: tuple[Path, Graph]) -> None:
    _, graph = cached_llama
    assert {symbol.name for symbol in graph.symbols} == {"batch", "sequence", "capacity", "logits"}
    assert (graph.hints["capacity"], graph.hints["logits"], graph.conditions) == (64, 1, ())
    assert graph.notes == ("the buffers hold 64 tokens; the model's config states 32 positions",)


def test_settings_say_how_to_capture_again(cached_llama: tuple[Path, Graph]) -> None:
    folder, graph = cached_llama
    again = open_model(folder, as_captured(graph)).capture()
    assert dict(graph.settings)["cache"] == 64
    assert graph_digest(again) == graph_digest(graph)


def test_with_all_sizes_fixed(cached_llama: tuple[Path, Graph]) -> None:
    options = CaptureOptions(cache=32, batch=3, sequence=1, static=True, weights=False)
    graph = open_model(cached_llama[0], options).capture()
    assert not graph.symbols
    assert (graph.spec["key_0"].shape or ())[0::2] == (3, 32)


def test_refused_where_there_are_no_keys_and_values(tmp_path: Path) -> None:
    encoder = write_config(tmp_path / "bert", BERT)
    with pytest.raises(ModelError, match="no decoder with a head over its vocabulary"):
        open_model(encoder, CaptureOptions(cache=8, weights=False)).capture()
    recurrent = write_config(tmp_path / "mamba", MAMBA)
    with pytest.raises(ModelError, match=r"layers of another kind than attention|keeps no K/V"):
        open_model(recurrent, CaptureOptions(cache=8, weights=False)).capture()


def test_more_new_tokens_than_room(cached_llama: tuple[Path, Graph]) -> None:
    with pytest.raises(ModelError, match="more new tokens than its cache has room for"):
        open_model(cached_llama[0], CaptureOptions(cache=8, sequence=9, weights=False)).capture()
