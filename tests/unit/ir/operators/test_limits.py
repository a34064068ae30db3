"""Absurd sizes are refused before anything is made."""

from __future__ import annotations

import pytest

from graphs import Builder
from partwise.errors import GraphError
from partwise.ir.operators.limits import refuse_absurd


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("aten.zeros.default", [(1 << 20, 1 << 20)]),
        ("aten.full.default", [(1 << 40,), 0.0]),
        ("aten.arange.default", [1 << 40]),
        ("aten.eye.m", [1 << 40, 1]),
        ("aten.repeat.default", ["x", (1 << 32, 1)]),
        ("aten.repeat_interleave.self_int", ["x", 1 << 40]),
        ("aten.constant_pad_nd.default", ["x", (0, 1 << 40)]),
        ("aten.kaiser_window.beta", [1 << 40, False, 1e-9]),
        ("aten.histc.default", ["x", 1 << 40]),
        ("aten.vander.default", ["x", 1 << 40]),
    ],
)
def test_absurd_sizes_are_refused(op: str, args: list[object]) -> None:
    with pytest.raises(GraphError, match="absurd size"):
        refuse_absurd(_graph(op, args), {})


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("aten.full.default", [(2, 4), -(1 << 62)]),
        ("aten.full_like.default", ["x", -(1 << 62)]),
        ("aten.arange.start_step", [0, 4096, 2]),
        ("aten.constant_pad_nd.default", ["x", (0, 4096, 0, 4096)]),
        ("aten.upsample_bilinear2d.vec", ["x", (4096, 4096), False, None]),
        ("aten.linear.default", ["x", "x"]),
    ],
)
def test_sizes_that_models_have_are_not(op: str, args: list[object]) -> None:
    refuse_absurd(_graph(op, args), {})


def _graph(op: str, args: list[object]):
    make = Builder()
    x = make.input((2, 4))
    return make.graph(make.node(op, [x if arg == "x" else arg for arg in args], (2, 4)))
