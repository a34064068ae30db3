"""Small models of transformers with random weights, the same in every process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers

__all__ = ["MODELS"]


def text(kind: str, **sizes: Any) -> tuple[Any, dict[str, Any]]:
    """A language model and two times two rows of eight tokens."""
    torch.manual_seed(0)
    tokens = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    config = transformers.AutoConfig.for_model(kind, vocab_size=31, use_cache=False, **tokens, **sizes)
    model = (transformers.AutoModelForMaskedLM if kind == "bert" else transformers.AutoModelForCausalLM).from_config(
        config
    )
    return model.eval(), {
        "input_ids": torch.randint(0, 31, (4, 8)),
        "attention_mask": torch.ones(4, 8, dtype=torch.long),
    }


def image(kind: str, **sizes: Any) -> tuple[Any, dict[str, Any]]:
    """An image classifier and four images."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, num_labels=5, **sizes)
    model = transformers.AutoModelForImageClassification.from_config(config)
    return model.eval(), {"pixel_values": torch.randn(4, 3, 32, 32)}


_HEADS = {"num_hidden_layers": 4, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 24}
MODELS: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "llama": lambda: text("llama", num_key_value_heads=1, max_position_embeddings=32, **_HEADS),
    "bert": lambda: text("bert", max_position_embeddings=32, **_HEADS),
    "gpt2": lambda: text("gpt2", n_embd=16, n_layer=4, n_head=2, n_positions=32),
    "resnet": lambda: image("resnet", embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2], layer_type="basic"),
    "vit": lambda: image("vit", image_size=32, patch_size=8, **_HEADS),
}
