"""The experts' kernel: transformers' own loop, bit for bit, and a plain reference where transformers has no loop."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from partwise.errors import InputError  # noqa: E402
from partwise.kernels import MODES, register_experts  # noqa: E402
from partwise.kernels.experts import experts_loop  # noqa: E402

T, H, INNER, E, K = 11, 16, 12, 4, 2


def routed(seed: int = 0) -> tuple[Any, Any, Any]:
    """hidden [T, H], index [T, K], weights [T, K]."""
    torch.manual_seed(seed)
    scores, index = torch.randn(T, E).softmax(-1).topk(K, dim=-1)
    return torch.randn(T, H), index, scores


def test_mixtral_experts_have_the_bits_of_eager() -> None:
    from transformers.models.mixtral.modeling_mixtral import MixtralExperts

    config = transformers.MixtralConfig(hidden_size=H, intermediate_size=INNER, num_local_experts=E)
    config._experts_implementation = "eager"
    hidden, index, weights = routed()
    layer = _filled(MixtralExperts(config))
    with torch.no_grad():
        expected = layer(hidden, index, weights)
        got = experts_loop(
            hidden, index, weights, layer.gate_up_proj, layer.down_proj, None, None, "halves", "silu", False, 0.0, 0.0
        )
    assert torch.equal(got, expected)


def test_gpt_oss_experts_have_the_bits_of_eager() -> None:
    from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts

    config = transformers.GptOssConfig(hidden_size=H, intermediate_size=INNER, num_local_experts=E)
    config._experts_implementation = "eager"
    hidden, index, weights = routed(1)
    layer = _filled(GptOssExperts(config))
    with torch.no_grad():
        expected = layer(hidden, index, weights)
        got = experts_loop(
            hidden, index, weights, layer.gate_up_proj, layer.down_proj, layer.gate_up_proj_bias, layer.down_proj_bias,
            "clamped", "silu", True, layer.alpha, layer.limit,
        )  # fmt: skip
    assert torch.equal(got, expected)


@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_tanh", "relu", "relu2"])
@pytest.mark.parametrize("gate", ["halves", "none"])
def test_each_token_gets_the_weighted_sum_of_its_experts(gate: str, activation: str) -> None:
    hidden, index, weights = routed(2)
    up = torch.randn(E, 2 * INNER if gate == "halves" else INNER, H)
    down = torch.randn(E, H, INNER)
    got = experts_loop(hidden, index, weights, up, down, None, None, gate, activation, False, 0.0, 0.0)
    apply = {
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
        "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        "relu": torch.relu,
        "relu2": lambda x: torch.relu(x) ** 2,
    }[activation]
    for token in range(T):
        expected = torch.zeros(H)
        for choice in range(K):
            raised = up[index[token, choice]] @ hidden[token]
            inner = apply(raised[:INNER]) * raised[INNER:] if gate == "halves" else apply(raised)
            expected += weights[token, choice] * (down[index[token, choice]] @ inner)
        torch.testing.assert_close(got[token], expected, rtol=1e-4, atol=1e-4)


def test_an_index_past_the_last_expert_is_nobody() -> None:
    hidden, index, weights = routed(3)
    up, down = torch.randn(E, 2 * INNER, H), torch.randn(E, H, INNER)
    got = experts_loop(
        hidden, torch.full_like(index, E), weights, up, down, None, None, "halves", "silu", False, 0.0, 0.0
    )
    assert torch.equal(got, torch.zeros(T, H))


def test_an_unknown_activation_or_mode_is_refused() -> None:
    hidden, index, weights = routed()
    up, down = torch.randn(E, 2 * INNER, H), torch.randn(E, H, INNER)
    with pytest.raises(InputError, match="activation `swish9`"):
        experts_loop(hidden, index, weights, up, down, None, None, "halves", "swish9", False, 0.0, 0.0)
    with pytest.raises(InputError, match="experts mode `fast`"):
        register_experts("fast")


def test_the_operator_calls_the_kernel_and_has_its_shape() -> None:
    assert register_experts() in MODES
    hidden, index, weights = routed(4)
    up, down = torch.randn(E, 2 * INNER, H), torch.randn(E, H, INNER)
    arguments = (hidden, index, weights, up, down, None, None, "halves", "silu", False, 0.0, 0.0)
    got = torch.ops.partwise.experts(*arguments)
    assert torch.equal(got, experts_loop(*arguments))
    meta = [argument.to("meta") if isinstance(argument, torch.Tensor) else argument for argument in arguments]
    assert torch.ops.partwise.experts(*meta).shape == got.shape


def _filled(layer: Any) -> Any:
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return layer.eval()
