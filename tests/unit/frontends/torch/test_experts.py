"""Experts as one operator: known gates only, and configs are afterwards what they were."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from partwise.errors import UnsupportedOpError  # noqa: E402
from partwise.frontends.torch.capture import capture_module  # noqa: E402
from partwise.frontends.torch.experts import SCHEMA, define_experts, experts_as_one_op  # noqa: E402
from partwise.ir import Graph  # noqa: E402

CONFIG: dict[str, Any] = {
    "vocab_size": 31, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
    "intermediate_size": 24, "num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8,
}  # fmt: skip


def model(activation: str = "silu") -> Any:
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**CONFIG, hidden_act=activation)).eval()


def captured(module: Any) -> Graph:
    return capture_module(module, {"input_ids": torch.zeros(2, 5, dtype=torch.int64)})


def test_a_layer_is_one_node_with_its_weights() -> None:
    (node,) = (node for node in captured(model()).nodes if node.op == "partwise.experts.default")
    assert node.module == "model.layers.0.mlp.experts"
    assert {name for name in node.inputs if name.startswith("model.")} == {
        "model.layers.0.mlp.experts.gate_up_proj", "model.layers.0.mlp.experts.down_proj",
    }  # fmt: skip
    assert node.args[7:9] == ("halves", "silu")


def test_configs_are_restored_even_after_a_failure() -> None:
    module = model()
    before = module.config._experts_implementation
    with contextlib.suppress(ZeroDivisionError), experts_as_one_op(module):
        assert module.config._experts_implementation == "partwise"
        raise ZeroDivisionError
    assert module.config._experts_implementation == before


def test_an_unknown_gate_is_refused_by_name() -> None:
    module = model()
    experts = module.model.layers[0].mlp.experts
    experts.__class__ = type("Mine", (type(experts),), {"_apply_gate": lambda _, value: value.chunk(2, -1)[0]})
    with pytest.raises(UnsupportedOpError, match=r"model\.layers\.0\.mlp\.experts.*gate .*lambda.* unknown"):
        captured(module)


def test_an_unknown_activation_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOpError, match="QuickGELUActivation"):
        captured(model("quick_gelu"))


def test_a_norm_after_each_expert_is_refused() -> None:
    module = model()
    module.model.layers[0].mlp.experts.has_post_expert_norm = True
    with pytest.raises(UnsupportedOpError, match="a norm after each expert"):
        captured(module)


def test_a_module_without_experts_needs_no_transformers() -> None:
    with experts_as_one_op(torch.nn.Linear(2, 2)):
        pass


def test_the_operator_is_defined_once_by_its_schema() -> None:
    assert define_experts() is define_experts()
    assert str(define_experts()._schema).startswith("partwise::" + SCHEMA.split("(")[0])
