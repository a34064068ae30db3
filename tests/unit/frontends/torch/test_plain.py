"""A model is compared by the operators that its graph has, in every type, and the graph says which others exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import partwise  # noqa: E402
from partwise.frontends.torch.plain import by_its_operators, other_kernels  # noqa: E402

MIXTRAL: dict[str, Any] = {
    "vocab_size": 31, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "intermediate_size": 24, "num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8,
}  # fmt: skip


def encoder() -> tuple[Any, dict[str, Any]]:
    """Layers with a fast path, and a product of a tensor with gaps: its bits depend on `requires_grad`."""
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return torch.nn.TransformerEncoder(layer, 2).eval(), {"src": torch.randn(2, 5, 16)}


def frozen() -> tuple[Any, dict[str, Any]]:
    module, inputs = encoder()
    return module.requires_grad_(False), inputs


def mixtral(dtype: Any) -> tuple[Any, dict[str, Any]]:
    module = transformers.MixtralForCausalLM(transformers.MixtralConfig(**MIXTRAL)).to(dtype).eval()
    return module, {"input_ids": torch.randint(0, 31, (2, 7))}


@pytest.mark.parametrize(
    "build",
    [encoder, frozen, lambda: mixtral(torch.bfloat16), lambda: mixtral(torch.float16), lambda: mixtral(torch.float32)],
    ids=["encoder", "frozen", "experts-bf16", "experts-fp16", "experts-fp32"],
)
def test_the_whole_equals_the_model_bit_for_bit(build: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, inputs = build()
    plan = partwise.plan(partwise.capture(module, inputs), stages=2)
    package = partwise.cut(module, plan, tmp_path / "package")
    verdict = partwise.verify(package, against=module)
    assert all(found.equal for found in (*verdict.chain, *verdict.source))
    assert verdict.notes == plan.graph.notes


def test_notes_name_the_operators() -> None:
    assert "aten._transformer_encoder_layer_fwd" in other_kernels(encoder()[0])[0]
    (note,) = other_kernels(mixtral(torch.float32)[0])
    assert "`model.layers.0.mlp.experts` and 1 more: `partwise::experts`" in note
    assert not other_kernels(torch.nn.Linear(2, 2))


def test_everything_is_afterwards_what_it_was() -> None:
    module = frozen()[0]
    with by_its_operators(module):
        assert not torch.backends.mha.get_fastpath_enabled()
        assert all(parameter.requires_grad for parameter in module.parameters())
    assert torch.backends.mha.get_fastpath_enabled()
    assert not any(parameter.requires_grad for parameter in module.parameters())
