"""Decoders of many kinds, from a config without weights: MACs = P·T + attention, prefill and decode, to the last one.

What is expected is worked out from the modules of transformers' own class, not from a graph: every matrix times the
tokens it meets, of experts those that a token is sent to, and attention over all tokens there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from partwise import api  # noqa: E402
from partwise.frontends import CaptureOptions  # noqa: E402
from partwise.profiling import Logits, Phase, phase_sizes, profile  # noqa: E402

SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "vocab_size": 500, "max_position_embeddings": 256, "bos_token_id": 0,
         "eos_token_id": 1, "pad_token_id": 0}  # fmt: skip
LATENT = SMALL | {"num_key_value_heads": 4, "n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1,
                  "moe_intermediate_size": 32, "kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 8,
                  "qk_nope_head_dim": 16, "v_head_dim": 12, "first_k_dense_replace": 1}  # fmt: skip
WINDOW = SMALL | {"head_dim": 32, "sliding_window": 16}
EXPERTS = {"num_experts_per_tok": 2, "num_experts": 8, "moe_intermediate_size": 32}
slow = pytest.mark.slow
FAMILIES = [
    pytest.param("Mixtral", SMALL | {"num_local_experts": 8, "num_experts_per_tok": 2}, id="experts, grouped heads"),
    pytest.param("DeepseekV3", LATENT | {"n_group": 2, "topk_group": 1}, id="latent attention", marks=slow),
    pytest.param("Llama", SMALL | {"tie_word_embeddings": True}, id="tied", marks=slow),
    pytest.param("Gemma2", WINDOW, id="tied, windows, wide heads", marks=slow),
    pytest.param("Mistral", SMALL | {"sliding_window": 16}, id="windows", marks=slow),
    pytest.param("Qwen3Moe", SMALL | EXPERTS | {"head_dim": 16}, id="qwen3_moe", marks=slow),
    pytest.param("Qwen2Moe", SMALL | EXPERTS | {"shared_expert_intermediate_size": 48}, id="shared", marks=slow),
    pytest.param("Olmoe", SMALL | EXPERTS, id="olmoe", marks=slow),
    pytest.param("GptOss", WINDOW | {"num_local_experts": 8, "num_experts_per_tok": 2}, id="sinks", marks=slow),
    pytest.param("DeepseekV2", LATENT | {"topk_method": "greedy"}, id="deepseek_v2", marks=slow),
    pytest.param("Cohere", SMALL, id="cohere", marks=slow),
    pytest.param("OPT", {"hidden_size": 64, "word_embed_proj_dim": 64, "ffn_dim": 128, "num_hidden_layers": 2,
                         "num_attention_heads": 4, "vocab_size": 500, "max_position_embeddings": 256},
                 id="opt", marks=slow),
]  # fmt: skip


@pytest.mark.parametrize(("family", "options"), FAMILIES)
def test_multiply_accumulates_of_a_decoder(family: str, options: dict[str, Any], tmp_path: Path) -> None:
    config = getattr(transformers, f"{family}Config")(**options)
    name = f"{family}ForCausalLM"
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict() | {"architectures": [name]}))
    graph = api.capture_with(str(tmp_path), CaptureOptions(weights=False, cache=64))
    with torch.device("meta"):
        module = getattr(transformers, name)(config)
    for phase, tokens, batch, logits in (
        ("prefill", 48, 2, "all"),
        ("prefill", 48, 1, "last"),
        ("decode", 48, 3, "all"),
    ):
        counted = profile(graph, phase_sizes(graph, Phase(phase), tokens, batch, Logits(logits)))
        new = tokens if phase == "prefill" else 1
        expected = _matrices(module, config, new, tokens, logits) + _attention(config, new, tokens)
        assert counted.macs == batch * expected
        assert not counted.unknown
    assert counted.parameters == sum(weight.numel() for weight in module.parameters())


def _matrices(module: Any, config: Any, tokens: int, seen: int, logits: str) -> int:
    """P·T: the head by its own number of tokens, experts by those that a token is sent to.

    DeepSeek's classes keep latents and expand those of all tokens there at every step (`kv_b_proj`).
    """
    total, head = 0, module.get_output_embeddings()
    for name, part in module.named_modules():
        kind = type(part).__name__
        if isinstance(part, torch.nn.Linear):
            met = tokens if part is not head or logits == "all" else 1
            total += part.weight.numel() * (seen if name.endswith("kv_b_proj") else met)
        elif kind.endswith("Experts"):
            matrices = [weight for weight in part.parameters() if weight.dim() == 3]
            total += sum(weight[0].numel() for weight in matrices) * config.num_experts_per_tok * tokens
        elif kind.endswith(("Router", "TopKRouter", "TopkRouter", "Gate")) and hasattr(part, "weight"):
            total += part.weight.numel() * tokens
    return total


def _attention(config: Any, tokens: int, seen: int) -> int:
    """QKᵀ and ·V of all heads and layers, no discount for a causal mask or a window."""
    heads = config.num_attention_heads
    if hasattr(config, "qk_nope_head_dim"):
        width = config.qk_nope_head_dim + config.qk_rope_head_dim + config.v_head_dim
    else:
        width = 2 * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    return config.num_hidden_layers * tokens * seen * heads * width
