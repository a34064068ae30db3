"""One graph with preallocated K/V for prefill and decode: greedily the tokens of transformers' `generate`."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import partwise  # noqa: E402
from e2e.greedy import generate  # noqa: E402
from e2e.torch_chain import Chain, chain_of  # noqa: E402
from e2e.torch_families import build  # noqa: E402
from partwise.errors import ModelError  # noqa: E402
from partwise.frontends.source import CaptureOptions  # noqa: E402
from partwise.frontends.torch.model import TorchModel  # noqa: E402
from partwise.ir import Graph  # noqa: E402
from partwise.ir.dims import evaluate_shape  # noqa: E402

CAPACITY, TOKENS, PROMPT = 96, 64, 12
LONGER = {"gpt2": {"n_positions": 128}}
"""Configs whose tables of positions are shorter than what is generated here."""
QUICK = ("llama",)
OTHERS = (
    "gemma3", "gpt2", "qwen3", "gemma2", "bloom", "falcon", "stablelm", "mixtral", "deepseek_v2", "deepseek_v3",
    "gpt_oss", "qwen3_moe",
)  # fmt: skip

SWEPT = (
    "gpt_neox", "gptj", "codegen", "gpt_bigcode", "opt", "xglm", "biogpt", "ctrl", "llama_masked", "llama_rope",
    "mistral", "ministral", "qwen2", "phi", "phi3", "gemma", "gemma3n", "cohere", "cohere2", "olmo", "olmo2",
    "olmo3", "granite", "nemotron", "starcoder2", "persimmon", "glm", "glm4", "helium", "smollm3", "exaone4",
    "seed_oss", "apertus", "arcee", "diffllama", "bitnet", "llama_bf16", "phimoe", "qwen2_moe", "olmoe",
    "granitemoe", "glm4_moe", "hunyuan_moe", "llama4", "aria", "dots1", "flex_olmo", "minimax_m2", "minicpm3",
    "nanochat", "vaultgemma", "doge", "gpt_neox_japanese", "modernbert_decoder",
)  # fmt: skip
"""Others that are right, and those that are refused: a growing cache is expected, or another state is kept."""
REFUSED = (
    "gpt_neo",
    "mpt",
    "mamba",
    "rwkv",
    "recurrent_gemma",
    "jamba",
    "minimax",
    "qwen3_next",
    "zamba2",
    "kimi_linear",
)


@cache
def captured(family: str) -> tuple[Any, Chain]:
    module, _ = build(family, **LONGER.get(family, {}))
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
    return [placed[i:j] for i, j in itertools.pairwise(ends) if i < j]


@pytest.mark.parametrize("family", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_greedy_tokens_are_those_of_generate(family: str) -> None:
    module, chain = captured(family)
    expected = by_transformers(module, prompts(), TOKENS)
    assert (generate(chain.graph, chain.whole, prompts(), TOKENS, CAPACITY) == expected).all()
    stages = chain.loaded(by_layer(chain))
    assert len(stages) >= 3
    cut = generate(chain.graph, lambda v, s: chain.through(stages, v, s), prompts(), TOKENS, CAPACITY)
    assert (cut == expected).all()


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("family", SWEPT)
def test_greedy_tokens_of_other_architectures(family: str) -> None:
    module, chain = captured(family)
    count = 64 - PROMPT  # most of these have tables of 64 positions
    made = generate(chain.graph, chain.whole, prompts(), count, CAPACITY)
    for prompt, ours, theirs in zip(prompts(), made, by_transformers(module, prompts(), count), strict=True):
        assert (ours == theirs).all() or is_tie(module, prompt, ours, theirs)


def is_tie(module: Any, prompt: Any, ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether the model itself likes both tokens equally where the two first differ, as bfloat16 may."""
    place = int(np.flatnonzero(ours != theirs)[0])
    ids = torch.tensor(np.concatenate((prompt, theirs[:place]))[None])
    with torch.no_grad():
        logits = module(ids).logits[0, -1]
    return logits.dtype == torch.bfloat16 and bool(logits[ours[place]] == logits[theirs[place]] == logits.max())


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("family", REFUSED)
def test_refused_rather_than_wrong(family: str) -> None:
    module, _ = build(family)
    with pytest.raises(ModelError, match=r"--cache|cannot serve prefill and decode"):
        TorchModel(module, CaptureOptions(cache=CAPACITY)).capture()


def test_sequences_of_unequal_length_share_a_batch() -> None:
    module, chain = captured("llama")
    several = [prompt[:length] for prompt, length in zip(prompts(3), (5, 12, 1), strict=True)]
    together = generate(chain.graph, chain.whole, several, 16, CAPACITY)
    for row, prompt in enumerate(several):
        assert (together[row] == by_transformers(module, prompt[None], 16)[0]).all()


def test_a_prompt_may_be_read_in_parts() -> None:
    _, chain = captured("llama")
    expected = generate(chain.graph, chain.whole, prompts(), 8, CAPACITY)
    for size in (1, 5):
        assert (generate(chain.graph, chain.whole, prompts(), 8, CAPACITY, part=size) == expected).all()


def test_whole_is_the_model_bit_for_bit() -> None:
    module, _ = captured("llama")
    source = TorchModel(module, CaptureOptions(cache=24, batch=2, sequence=5))
    chain = chain_of(source)
    random = np.random.default_rng(3)
    inputs = {name: _random(chain.graph, name, random) for name in chain.graph.inputs}
    inputs |= {"position": np.array([0, 7]), "logits_at": np.array([[4], [2]])}
    made, meant = chain.whole(inputs, chain.graph.hints), source.answers(chain.graph, [inputs])[0]
    assert made.keys() == meant.keys()
    assert all((made[name] == meant[name]).all() for name in made)


def _random(graph: Graph, name: str, random: np.random.Generator) -> np.ndarray:
    shape = evaluate_shape(graph.spec[name].shape or (), graph.hints)
    if graph.spec[name].dtype.is_float:
        return random.standard_normal(shape).astype(np.float32)
    return random.integers(0, 90, shape)


@pytest.mark.slow
def test_a_package_with_a_cache_is_cut_and_verified(tmp_path: Path) -> None:
    module, _ = build("llama")
    module.save_pretrained(tmp_path / "llama")
    graph = partwise.capture(str(tmp_path / "llama"), cache=32)
    made = partwise.plan(graph, stages=3)
    package = partwise.cut(str(tmp_path / "llama"), made, tmp_path / "package")
    assert package.manifest.exact
    run = partwise.run(package, sizes={"batch": 3, "sequence": 1, "capacity": 50}, run_dir=tmp_path / "run")
    assert run.outputs["key_1"].shape == (3, 2, 50, 16)
    assert partwise.verify(run, against=str(tmp_path / "llama")).outcome == "accepted"
