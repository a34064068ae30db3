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

GPT_NEO = {"model_type": "gpt_neo", "architectures": ["GPTNeoForCausalLM"], "vocab_size": 97, "hidden_size": 32,
           "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]], "window_size": 4,
           "max_position_embeddings": 64}  # fmt: skip


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


def test_refused_with_fixed_sizes(cached_llama: tuple[Path, Graph]) -> None:
    with pytest.raises(ModelError, match="a cache and fixed sizes"):
        open_model(cached_llama[0], CaptureOptions(cache=32, static=True, weights=False)).capture()


def test_refused_where_there_are_no_keys_and_values(tmp_path: Path) -> None:
    encoder = write_config(tmp_path / "bert", BERT)
    with pytest.raises(ModelError, match="no decoder with a head over its vocabulary"):
        open_model(encoder, CaptureOptions(cache=8, weights=False)).capture()
    recurrent = write_config(tmp_path / "mamba", MAMBA)
    with pytest.raises(ModelError, match=r"layers of another kind than attention|keeps no K/V"):
        open_model(recurrent, CaptureOptions(cache=8, weights=False)).capture()


@pytest.mark.parametrize(
    ("capacity", "why"),
    [
        (32, "length of its K/V for the number of tokens"),
        pytest.param(64, "export fixed sequence and capacity", marks=pytest.mark.slow),
    ],
)
def test_refused_where_masks_are_made_for_a_growing_cache(capacity: int, why: str, tmp_path: Path) -> None:
    """GPT-Neo cuts its masks out of a table by the sizes that a growing cache would have."""
    folder = write_config(tmp_path, GPT_NEO)
    with pytest.raises(ModelError, match=why):
        open_model(folder, CaptureOptions(cache=capacity, weights=False)).capture()


def test_more_new_tokens_than_room(cached_llama: tuple[Path, Graph]) -> None:
    with pytest.raises(ModelError, match="more new tokens than its cache has room for"):
        open_model(cached_llama[0], CaptureOptions(cache=8, sequence=9, weights=False)).capture()
