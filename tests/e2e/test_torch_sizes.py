"""One package, other sizes: the chain is the whole, and the whole is eager, at sizes that were never captured."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from e2e.torch_chain import Chain, chain_of, example  # noqa: E402
from e2e.torch_families import SIDE, VOCABULARY, build  # noqa: E402
from partwise.errors import InterfaceMismatchError  # noqa: E402
from partwise.frontends.source import CaptureOptions  # noqa: E402
from partwise.frontends.torch.model import TorchModel  # noqa: E402

SIZES = ((1, 1), (1, 7), (3, 1), (5, 33))
"""(batch, sequence), none of them captured."""


def text(batch: int, sequence: int, masked: bool) -> dict[str, Any]:
    ids = torch.randint(3, VOCABULARY - 7, (batch, sequence))
    return {"input_ids": ids} | ({"attention_mask": torch.ones_like(ids)} if masked else {})


def pixels(batch: int, side: int = SIDE) -> dict[str, Any]:
    return {"pixel_values": torch.randn(batch, 3, side, side)}


def thirds(chain: Chain) -> list[tuple[int, ...]]:
    placed = chain.contraction.placed
    ends = [0, len(placed) // 3, 2 * len(placed) // 3, len(placed)]
    return [placed[a:b] for a, b in pairwise(ends)]


def check(module: Any, captured: dict[str, Any], others: list[dict[str, Any]]) -> None:
    source = TorchModel(module, CaptureOptions(example_inputs=captured))
    chain = chain_of(source)
    parts = chain.loaded(thirds(chain))
    for inputs in others:
        given, sizes = example(chain.graph, inputs)
        whole, eager = chain.whole(given, sizes), source.answers(chain.graph, [given])[0]
        chained = chain.through(parts, given, sizes)
        for name, value in whole.items():
            assert chained[name].tobytes() == value.tobytes(), (sizes, name)
            assert value.shape == eager[name].shape
            np.testing.assert_allclose(value, eager[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "family",
    [
        "minilm",
        "gpt2",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("llama", "mixtral", "gemma3", "t5_encoder")),
    ],
)
def test_a_text_model_runs_at_other_sizes(family: str) -> None:
    module, captured = build(family)
    masked = "attention_mask" in captured
    check(module, captured, [text(batch, sequence, masked) for batch, sequence in SIZES])


@pytest.mark.parametrize(
    "family", ["resnet50", *(pytest.param(name, marks=pytest.mark.slow) for name in ("vit", "convnext", "swin"))]
)
def test_a_vision_model_runs_at_other_batches(family: str) -> None:
    module, captured = build(family)
    check(module, captured, [pixels(batch) for batch in (1, 3, 5)])


@pytest.mark.parametrize("shape", [(1, 1), *(pytest.param(s, marks=pytest.mark.slow) for s in ((1, 12), (2, 1)))])
def test_an_example_of_size_one_captures_all_sizes(shape: tuple[int, int]) -> None:
    module, _ = build("gpt2")
    check(module, text(*shape, masked=False), [text(2, 9, masked=False), text(1, 1, masked=False)])


def test_sizes_outside_the_capture_are_refused() -> None:
    module, captured = build("bert")
    chain = chain_of(TorchModel(module, CaptureOptions(example_inputs=captured)))
    assert chain.graph.conditions == ("sequence <= 64",)
    given, sizes = example(chain.graph, text(1, 65, masked=True))
    with pytest.raises(InterfaceMismatchError, match="captured for other sizes; expected sequence <= 64"):
        chain.whole(given, sizes)


@pytest.mark.slow
def test_true_size_minilm_gpt2_and_resnet50_run_at_other_sizes() -> None:
    torch.manual_seed(0)
    bert = transformers.BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    minilm = transformers.BertModel(bert).eval()
    check(
        minilm, text(2, 128, masked=True), [text(batch, length, True) for batch, length in ((1, 1), (1, 17), (3, 200))]
    )
    gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    check(gpt2, text(2, 16, masked=False), [text(batch, length, False) for batch, length in ((1, 1), (1, 33), (3, 5))])
    resnet = transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=1000)).eval()
    check(resnet, pixels(2, 224), [pixels(batch, 224) for batch in (1, 3, 4)])
