"""Mixture-of-experts layers as one operator, `partwise::experts`.

transformers dispatches the experts of its models through a registry, keyed by a name in the model's config. While
a model is captured that name is ours, and what is registered under it calls one custom operator: its schema and
its shape rule stand here, its kernels in `partwise.kernels`, its cost in the operator table. Without it a layer
enters as an opaque fallback, fails on a guard that depends on data, or sends gathered weights over a cut.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

from partwise.errors import UnsupportedOpError
from partwise.extras import require

__all__ = ["SCHEMA", "define_experts", "expert_layers", "experts_as_one_op", "experts_run_by"]

SCHEMA = (
    "experts(Tensor hidden, Tensor index, Tensor weights, Tensor up, Tensor down, Tensor? up_bias, Tensor? down_bias, "
    "str gate, str activation, bool transposed, float alpha, float limit) -> Tensor"
)
"""hidden [T, H]; index, weights [T, k]: the experts of each token and their shares; an index of E (one past the
last) is no expert. up [E, U, H], down [E, H, I] (`transposed`: last two dims swapped); up_bias [E, U],
down_bias [E, H]. `gate` says how U becomes I, `activation` with which function; `alpha` and `limit` belong to the
gate `clamped`."""

_NAME = "partwise"
_ACTIVATIONS = {
    "torch.nn.functional.silu": "silu",
    "torch.nn.functional.relu": "relu",
    "SiLU": "silu",
    "SiLUActivation": "silu",
    "GELU": "gelu",
    "GELUActivation": "gelu",
    "GELUTanh": "gelu_tanh",
    "PytorchGELUTanh": "gelu_tanh",
    "ReLU": "relu",
    "ReLUSquaredActivation": "relu2",
}
_GATES = {
    "transformers.integrations.moe._default_apply_gate": "halves",
    "transformers.models.gpt_oss.modeling_gpt_oss.GptOssExperts._apply_gate": "clamped",
}
_HINT = "give the layer the default gate, or add the gate to partwise.frontends.torch.experts and partwise.kernels."


@cache
def define_experts() -> Any:
    """Define the operator in torch, once; its overload."""
    torch = require("torch")
    library = torch.library.Library("partwise", "FRAGMENT")
    library.define(SCHEMA)
    torch.library.register_fake("partwise::experts", _shape, lib=library)
    _LIBRARIES.append(library)
    return torch.ops.partwise.experts.default


@contextmanager
def experts_as_one_op(module: Any) -> Generator[None]:
    """While this lasts, the experts in `module` are calls of `partwise::experts`."""
    layers = expert_layers(module)
    if layers:
        for path, layer in layers.items():
            _refuse_unknown(path, layer)
        define_experts()
        require("transformers.integrations.moe").ALL_EXPERTS_FUNCTIONS.register(_NAME, _forward)
    with experts_run_by(layers.values(), _NAME):
        yield


def expert_layers(module: Any) -> dict[str, Any]:
    """The layers of experts that transformers dispatches through its registry, by path."""
    found = module.named_modules()
    return {path: layer for path, layer in found if hasattr(layer, "_apply_gate") and hasattr(layer, "has_gate")}


@contextmanager
def experts_run_by(layers: Iterable[Any], implementation: str) -> Generator[None]:
    """While this lasts, transformers dispatches these layers to an implementation of its registry."""
    configs = {id(layer.config): layer.config for layer in layers}.values()
    before = [config._experts_implementation for config in configs]
    try:
        for config in configs:
            config._experts_implementation = implementation
        yield
    finally:
        for config, was in zip(configs, before, strict=True):
            config._experts_implementation = was


def _forward(layer: Any, hidden: Any, index: Any, weights: Any) -> Any:
    """What transformers calls instead of the layer's own loop."""
    up = "gate_up_proj" if layer.has_gate else "up_proj"
    return define_experts()(
        hidden,
        index,
        weights,
        getattr(layer, up),
        layer.down_proj,
        getattr(layer, f"{up}_bias", None) if layer.has_bias else None,
        layer.down_proj_bias if layer.has_bias else None,
        _gate(layer) or "",
        _ACTIVATIONS[_activation(layer)],
        bool(layer.is_transposed),
        float(getattr(layer, "alpha", 0.0)),
        float(getattr(layer, "limit", 0.0)),
    )


def _gate(layer: Any) -> str | None:
    """Our name of a layer's gate; None for one that we do not know."""
    if not layer.has_gate:
        return "none"
    return _GATES.get(_qualified_gate(layer))


def _qualified_gate(layer: Any) -> str:
    gate: Any = cast(Any, type(layer))._apply_gate
    return f"{gate.__module__}.{gate.__qualname__}"


def _activation(layer: Any) -> str:
    """The class of a layer's activation, or the function's full name; a layer without one has its own in its gate."""
    activation: Any = getattr(layer, "act_fn", None)
    if activation is None:
        return "SiLU"
    if hasattr(activation, "__qualname__"):
        return f"{activation.__module__}.{activation.__qualname__}"
    return str(cast(Any, type(activation)).__name__)


def _refuse_unknown(path: str, layer: Any) -> None:
    subject = f"experts `{path}` ({type(layer).__name__})"
    if _gate(layer) is None:
        raise UnsupportedOpError(subject, f"its gate `{_qualified_gate(layer)}` is unknown", hint=_HINT)
    if _activation(layer) not in _ACTIVATIONS:
        raise UnsupportedOpError(subject, f"its activation `{_activation(layer)}` is unknown",
                                 expected=", ".join(sorted(set(_ACTIVATIONS.values()))), hint=_HINT)  # fmt: skip
    if layer.has_post_expert_norm or layer._is_expert_parallel:
        what = "a norm after each expert" if layer.has_post_expert_norm else "experts spread over ranks"
        raise UnsupportedOpError(subject, f"it has {what}, which `partwise::experts` does not compute")


def _shape(hidden: Any, *_: Any) -> Any:
    return require("torch").empty_like(hidden)


_LIBRARIES: list[Any] = []
"""torch forgets an operator when its library object dies."""
