"""The experts' kernel against a reference that shares nothing with it."""

from __future__ import annotations

import numpy as np

from partwise.extras import require
from partwise.kernels import register_experts
from partwise.measurement.suite import Found, Machine

__all__ = ["kernels"]

_LIMIT = 1e-5
"""Over the reference's largest value: float32 sums of some thousand terms."""
_EXPERTS, _CHOSEN, _HIDDEN, _INNER, _TOKENS = 16, 2, 512, 448, 64
"""Phi-tiny-MoE's experts at an eighth of its width. Source: config.json of microsoft/Phi-tiny-MoE-instruct."""


def kernels(machine: Machine) -> Found:
    """`partwise::experts` against a plain sum over experts in float64."""
    del machine
    torch, mode, noise = require("torch"), register_experts(), np.random.default_rng(0)
    hidden, router = noise.standard_normal((_TOKENS, _HIDDEN)), noise.standard_normal((_TOKENS, _EXPERTS))
    up = noise.standard_normal((_EXPERTS, 2 * _INNER, _HIDDEN))
    down = noise.standard_normal((_EXPERTS, _HIDDEN, _INNER))
    index = np.argsort(-router, axis=1)[:, :_CHOSEN]
    shares = np.take_along_axis(np.exp(router) / np.exp(router).sum(1, keepdims=True), index, axis=1)
    values = [torch.from_numpy(np.asarray(value, np.float32)) for value in (hidden, shares, up, down)]
    given = (values[0], torch.from_numpy(index), *values[1:], None, None, "halves", "silu", False, 1.0, 0.0)
    got = np.asarray(torch.ops.partwise.experts(*given), np.float64)
    expected = _dense_experts(hidden, up, down, index, shares)
    worst = float(np.abs(got - expected).max() / np.abs(expected).max())
    return Found(value=worst, unit="of largest", met=worst <= _LIMIT, note=f"experts by `{mode}`")


def _dense_experts(
    hidden: np.ndarray, up: np.ndarray, down: np.ndarray, index: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Every expert on every token, and the chosen ones' sum."""
    gate, raised = np.split(np.einsum("th,euh->etu", hidden, up), 2, axis=-1)
    every = np.einsum("eti,ehi->eth", gate / (1 + np.exp(-gate)) * raised, down)
    weight = np.zeros((len(hidden), len(up)))
    np.put_along_axis(weight, index, shares, axis=1)
    return np.einsum("te,eth->th", weight, every)
