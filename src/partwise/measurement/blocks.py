"""The suite's own model: a few blocks of matrices, large enough to be measured, small enough to be made at once."""

from __future__ import annotations

from typing import Any

from partwise.extras import require

__all__ = ["blocks"]

_BLOCKS, _WIDTH, _ROWS = 8, 1024, 128
"""2.1 MFLOP a row and block: a millisecond or more a block on any processor of today. Assumed."""


def blocks() -> Any:
    """A module, and a tuple of inputs; seeded."""
    torch = require("torch")
    generator = torch.Generator().manual_seed(0)
    layers = list[Any]()
    for _ in range(_BLOCKS):
        linear = torch.nn.Linear(_WIDTH, _WIDTH)
        linear.weight.data = torch.randn(_WIDTH, _WIDTH, generator=generator) / _WIDTH**0.5
        linear.bias.data.zero_()
        layers += [linear, torch.nn.GELU()]
    return torch.nn.Sequential(*layers).eval(), (torch.randn(_ROWS, _WIDTH, generator=generator),)
