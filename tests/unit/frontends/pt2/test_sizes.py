"""Sizes of exported programs in our arithmetic; text is translated, never evaluated."""

from __future__ import annotations

import pytest

from partwise.errors import UnsupportedOpError
from partwise.frontends.pt2.sizes import Sizes, symbol_in
from partwise.ir.dims import evaluate

_S = "Symbol('s7', positive=True, integer=True)"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (_S, 10),
        ("Integer(4)", 4),
        (f"Add({_S}, Integer(-1))", 9),
        (f"Mul(Integer(2), FloorDiv({_S}, Integer(4)))", 4),
        (f"Max(Integer(1), Mod({_S}, Integer(4)))", 2),
        (f"Min(Integer(1), PythonMod({_S}, Integer(3)))", 1),
        (f"Pow({_S}, Integer(2))", 100),
    ],
)
def test_arithmetic(text: str, value: int) -> None:
    assert evaluate(Sizes({"s7": "batch"}).dim({"as_expr": {"expr_str": text}}), {"batch": 10}) == value


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('u0', integer=True)",
        f"Pow({_S}, Integer(-1))",
        f"sin({_S})",
        "__import__('os').system('true')",
        "().__class__",
        "(" * 300,
        "x" * 30_000,
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedOpError):
        Sizes({"s7": "batch"}).dim({"as_expr": {"expr_str": text}})


def test_bare_symbols() -> None:
    assert symbol_in({"as_expr": {"expr_str": _S}}) == "s7"
    assert symbol_in({"as_expr": {"expr_str": f"Mul(Integer(2), {_S})"}}) is None
    assert symbol_in({"as_int": 3}) is None
