"""Experts: which token meets which expert, the feed-forward network of each, and the weighted sum.

Mode `loop` visits the experts in order and gives the bits of transformers' `eager` experts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from partwise.errors import InputError
from partwise.extras import require
from partwise.frontends.torch.experts import define_experts

__all__ = ["MODES", "experts_loop", "register_experts"]


_DEVICES = ("CPU", "CUDA", "XPU", "MPS")
"""torch's words for what its engines reach."""


def register_experts(mode: str = "loop") -> str:
    """Make `partwise::experts` computable; the first mode registered in a process stays.

    Args:
        mode: a key of `MODES`.

    Returns:
        The mode in force.

    Raises:
        InputError: no such mode, or another one is in force already.
    """
    if mode not in MODES:
        raise InputError(f"experts mode `{mode}`", "is unknown", expected=", ".join(MODES))
    if not _REGISTERED:
        define_experts()
        library = require("torch").library.Library("partwise", "FRAGMENT")
        for device in _DEVICES:  # plain calls of torch: the same on each
            library.impl("experts", MODES[mode], device)
        _REGISTERED[mode] = library
    if mode not in _REGISTERED:
        raise InputError(f"experts mode `{mode}`", "another mode is in force here", got=next(iter(_REGISTERED)))
    return mode


def experts_loop(
    hidden: Any,
    index: Any,
    weights: Any,
    up: Any,
    down: Any,
    up_bias: Any,
    down_bias: Any,
    gate: str,
    activation: str,
    transposed: bool,
    alpha: float,
    limit: float,
) -> Any:
    """Experts one after the other; arguments as in `partwise.frontends.torch.experts.SCHEMA`.

    Returns:
        [T, H] in the type of `hidden`: for each token the sum of its experts' results by their weights.
    """
    torch = require("torch")
    if gate not in _GATES:
        raise InputError(f"gate `{gate}`", "is unknown to the experts' kernel", expected=", ".join(_GATES))
    result = torch.zeros_like(hidden)
    for expert in torch.unique(index).tolist():
        if expert >= up.shape[0]:
            continue
        # Transposed, so that rows come in the order (choice, token): the order in which eager adds them up.
        choice, token = torch.where((index == expert).T)
        raised = _project(hidden[token], up, up_bias, expert, transposed)
        gated = _GATES[gate](raised, activation, alpha, limit)
        lowered = _project(gated, down, down_bias, expert, transposed)
        shares = weights[token, choice, None]
        result.index_add_(0, token, (lowered * shares).to(result.dtype))
    return result


def _project(rows: Any, weight: Any, bias: Any, expert: int, transposed: bool) -> Any:
    """rows [n, in] times one expert's matrix, and its bias."""
    if not transposed:
        linear = require("torch.nn.functional").linear
        return linear(rows, weight[expert], None if bias is None else bias[expert])
    product = rows @ weight[expert]
    return product if bias is None else product + bias[expert]


def _halves(raised: Any, activation: str, _alpha: float, _limit: float) -> Any:
    """[gate; up] -> activation(gate) · up."""
    gate, up = raised.chunk(2, dim=-1)
    return _activate(gate, activation) * up


def _clamped(raised: Any, _activation: str, alpha: float, limit: float) -> Any:
    """gpt-oss: gate and up interleaved and clamped, (up + 1) · gate · sigmoid(alpha · gate)."""
    torch = require("torch")
    gate, up = raised[..., ::2], raised[..., 1::2]
    gate, up = gate.clamp(min=None, max=limit), up.clamp(min=-limit, max=limit)
    return (up + 1) * (gate * torch.sigmoid(gate * alpha))


def _ungated(raised: Any, activation: str, _alpha: float, _limit: float) -> Any:
    return _activate(raised, activation)


def _activate(value: Any, activation: str) -> Any:
    functional = require("torch.nn.functional")
    match activation:
        case "silu":
            return functional.silu(value)
        case "gelu":
            return functional.gelu(value)
        case "gelu_tanh":
            return functional.gelu(value, approximate="tanh")
        case "relu":
            return functional.relu(value)
        case "relu2":
            return require("torch").square(functional.relu(value))
        case _:
            raise InputError(f"activation `{activation}`", "is unknown to the experts' kernel")


_GATES: dict[str, Callable[[Any, str, float, float], Any]] = {"halves": _halves, "clamped": _clamped, "none": _ungated}
MODES: dict[str, Callable[..., Any]] = {"loop": experts_loop}
"""Kernels by the name that a run states."""
_REGISTERED: dict[str, Any] = {}
