"""One graph with preallocated K/V for prefill and decode: greedily the tokens of transformers' `generate`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from e2e.greedy import generate  # noqa: E402
from e2e.torch_chain import Chain, chain_of  # noqa: E402
from e2e.torch_families import build  # noqa: E402
from partwise.frontends.source import CaptureOptions  # noqa: E402
from partwise.frontends.torch.model import TorchModel  # noqa: E402

CAPACITY, TOKENS, PROMPT = 96, 64, 12
QUICK = ("llama", "gemma3")
OTHERS = (
    "gpt2", "qwen3", "gemma2", "bloom", "falcon", "stablelm", "mixtral", "deepseek_v2", "deepseek_v3", "gpt_oss",
    "qwen3_moe",
)  # fmt: skip


def captured(family: str) -> tuple[Any, Chain]:
    module, _ = build(family)
    return module, chain_of(TorchModel(module, CaptureOptions(cache=CAPACITY, batch=2, sequence=PROMPT)))


def by_transformers(module: Any, prompt: Any, count: int) -> np.ndarray:
    settings = {"do_sample": False, "max_new_tokens": count, "min_new_tokens": count, "eos_token_id": None}
    made = module.generate(torch.tensor(prompt), pad_token_id=0, **settings)
    return made[:, len(prompt[0]) :].numpy()


def prompts(batch: int = 2) -> Any:
    return np.random.default_rng(7).integers(3, 90, (batch, PROMPT))


def by_layer(chain: Chain) -> list[tuple[int, ...]]:
    """A stage up to and with each layer's last node."""
    graph, placed = chain.graph, chain.contraction.placed
    steps = [[int(step) for step in graph.nodes[index].module.split(".") if step.isdigit()] for index in placed]
    last = {layer[0]: place for place, layer in enumerate(steps) if layer}
    ends = [0, *(place + 1 for place in last.values()), len(placed)]
    return [placed[i:j] for i, j in zip(ends[:-1], ends[1:], strict=True) if i < j]


@pytest.mark.parametrize("family", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_greedy_tokens_are_those_of_generate(family: str) -> None:
    module, chain = captured(family)
    expected = by_transformers(module, prompts(), TOKENS)
    assert (generate(chain.graph, chain.whole, prompts(), TOKENS, CAPACITY) == expected).all()
    stages = chain.loaded(by_layer(chain))
    assert len(stages) >= 3
    cut = generate(chain.graph, lambda v, s: chain.through(stages, v, s), prompts(), TOKENS, CAPACITY)
    assert (cut == expected).all()
