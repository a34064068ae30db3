"""Prefill and decode of a language model: one capture, exact counts."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from graphs import chain
from partwise.errors import InputError
from partwise.ir import Graph, Kind
from partwise.profiling import Logits, Phase, key_value_traffic, node_groups, phase_sizes, profile
from tiny_models import LLAMA

HIDDEN, LAYERS, HEADS, KV = (
    LLAMA[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
)
WIDTH = HIDDEN // HEADS


@pytest.fixture
def graph(cached_llama: tuple[Path, Graph]) -> Graph:
    return cached_llama[1]


def matrices(graph: Graph) -> int:
    """Elements of all weights that tokens are multiplied by: the embedding is looked up."""
    shapes = {weight.key: graph.spec[weight.tensor] for weight in graph.weights}
    return sum(s.elements({}) for key, s in shapes.items() if len(s.shape or ()) == 2 and "embed" not in key)


@pytest.mark.parametrize(("batch", "tokens"), [(1, 16), (3, 5), (2, 1), (1, 200)])
@pytest.mark.parametrize("phase", list(Phase))
def test_flops_are_two_a_parameter_and_token_and_attention(graph: Graph, phase: Phase, batch: int, tokens: int) -> None:
    counted = profile(graph, phase_sizes(graph, phase, tokens, batch))
    new = batch * (tokens if phase is Phase.PREFILL else 1)
    attention = 4 * new * tokens * HEADS * WIDTH * LAYERS
    assert counted.flops == 2 * matrices(graph) * new + attention


def test_logits_of_the_last_token_alone(graph: Graph) -> None:
    every, last = (
        profile(graph, phase_sizes(graph, Phase.PREFILL, 16, 2, logits)).flops for logits in (Logits.ALL, Logits.LAST)
    )
    assert every - last == 2 * LLAMA["vocab_size"] * HIDDEN * 2 * 15


@pytest.mark.parametrize("phase", list(Phase))
def test_keys_and_values_are_read_as_far_as_they_are_filled(graph: Graph, phase: Phase) -> None:
    counted = profile(graph, phase_sizes(graph, phase, 40, 3))
    token = 2 * KV * WIDTH * LAYERS * graph.spec["key_0"].dtype.bits // 8  # bytes
    moved = key_value_traffic(graph, counted)
    assert moved.read_bytes == 3 * 40 * token
    assert moved.written_bytes == 3 * (40 if phase is Phase.PREFILL else 1) * token


def test_refused_without_a_cache_or_with_fixed_sizes(graph: Graph) -> None:
    with pytest.raises(InputError, match="captured without a cache"):
        phase_sizes(chain([4, 4]), Phase.DECODE, 8)
    with pytest.raises(InputError, match="a token at least"):
        phase_sizes(graph, Phase.DECODE, 0)


def test_no_cache_of_a_device_has_the_keys_and_values(graph: Graph) -> None:
    """They rest in memory between tokens, like weights, however small they are."""
    counted = profile(graph, phase_sizes(graph, Phase.DECODE, 40, 3))
    attentions = [cost for cost in counted.nodes if cost.kind is Kind.ATTENTION]
    assert sum(cost.state_bytes for cost in attentions) == key_value_traffic(graph, counted).read_bytes
    groups = {group.nodes: group for group in node_groups(counted)}
    for cost in attentions:
        assert groups[cost.node,].weight_bytes == cost.state_bytes > 0
        assert cost.traffic_bytes == cost.input_bytes + cost.output_bytes + cost.state_bytes
