"""The graphs that published end-to-end latencies mean: eager torch 2.1, float32, attention as separate kernels.

BERT without its language-model head; Switch with four experts of 64 tokens a sequence each (its `expert_capacity`).
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from partwise.frontends.torch.capture import capture_module
from partwise.ir import Graph

CONFIGS: dict[str, tuple[str, str]] = {
    "bert": ("BertConfig", "BertModel"),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel"),
    "opt": ("OPTConfig", "OPTForCausalLM"),
    "switch_transformers": ("T5Config", "T5ForConditionalGeneration"),
}
_NOT_OF_THE_MODEL = ("architectures", "torch_dtype", "use_cache", "model_type", "transformers_version")
_CACHED: dict[tuple[str, int, int], Graph] = {}


class Experts(torch.nn.Module):
    """A router over all tokens, and each expert on as many tokens of a sequence as it has room for."""

    def __init__(self, width: int, hidden: int, experts: int, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.router = torch.nn.Linear(width, experts, bias=False)
        self.up = torch.nn.ModuleList(torch.nn.Linear(width, hidden, bias=False) for _ in range(experts))
        self.down = torch.nn.ModuleList(torch.nn.Linear(hidden, width, bias=False) for _ in range(experts))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, _ = torch.softmax(self.router(x), -1).max(-1, keepdim=True)
        made = x.clone()
        for number, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            place = slice(number * self.capacity, (number + 1) * self.capacity)
            made[:, place] = down(torch.relu(up(x[:, place].contiguous())))
        return made * weights


def graph(models: Path, name: str, sequence: int, batch: int) -> Graph:
    """The graph of a labelled row.

    Args:
        models: the file of the published configurations.
        name: of the model.
        sequence: tokens.
        batch: sequences.
    """
    key = (name, sequence, batch)
    if key not in _CACHED:
        _CACHED[key] = _capture(json.loads(models.read_text())[name], sequence, batch)
    return _CACHED[key]


def _capture(config: dict[str, Any], sequence: int, batch: int) -> Graph:
    kind, cls = CONFIGS[config["model_type"]]
    wanted = {name: value for name, value in config.items() if name not in _NOT_OF_THE_MODEL}
    mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
    with warnings.catch_warnings(), mode:
        warnings.simplefilter("ignore")
        made = getattr(transformers, kind)(**wanted)
        made._attn_implementation, made.use_cache = "eager", False
        module = getattr(transformers, cls)(made).eval()
        if config["model_type"] == "switch_transformers":
            _make_sparse(module, config)
        ids = torch.zeros(batch, sequence, dtype=torch.int64)
        inputs = {"input_ids": ids} | ({"decoder_input_ids": ids} if config.get("is_encoder_decoder") else {})
        return capture_module(module, inputs, static=True)


def _make_sparse(module: Any, config: dict[str, Any]) -> None:
    """Every second feed-forward is one of experts."""
    for stack in (module.encoder, module.decoder):
        for number, block in enumerate(stack.block):
            if number % config["encoder_sparse_step"] == 1:
                block.layer[-1].DenseReluDense = Experts(
                    config["d_model"], config["d_ff"], config["num_experts"], config["expert_capacity"]
                )
