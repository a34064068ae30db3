"""Which sizes are asked to be symbols, and how torch's expressions and guards read here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
sympy = pytest.importorskip("sympy")

from partwise.frontends.torch.symbols import SizeError, conditions, expression, roles, unchosen  # noqa: E402
from partwise.ir.dims import evaluate  # noqa: E402


def ids(*shape: int) -> Any:
    return torch.zeros(*shape, dtype=torch.int64)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"x": torch.zeros(2, 3, 8, 8)}, {"x": {0: "batch"}}),
        ({"input_ids": ids(2, 7)}, {"input_ids": {0: "batch", 1: "sequence"}}),
        (
            {"input_ids": ids(2, 7), "attention_mask": ids(2, 7), "pixel_values": torch.zeros(2, 3, 8, 8)},
            {"input_ids": {0: "batch", 1: "sequence"}, "attention_mask": {0: "batch", 1: "sequence"},
             "pixel_values": {0: "batch"}},
        ),
        (
            {"input_ids": ids(2, 7), "decoder_input_ids": ids(2, 5)},
            {"input_ids": {0: "batch", 1: "sequence"}, "decoder_input_ids": {0: "batch", 1: "decoder_sequence"}},
        ),
        (
            {"input_ids": ids(2, 7), "labels": ids(2, 5), "position_ids": ids(1, 7)},
            {"input_ids": {0: "batch", 1: "sequence"}, "labels": {0: "batch", 1: "labels_sequence"},
             "position_ids": {1: "sequence"}},
        ),
        (
            {"input_ids": ids(2, 4, 7), "attention_mask": ids(2, 4, 7)},
            {"input_ids": {0: "batch", 2: "sequence"}, "attention_mask": {0: "batch", 2: "sequence"}},
        ),
        (
            {"input_ids": ids(2, 7), "bbox": ids(2, 7, 4), "grid": ids(2, 7, 3)},
            {"input_ids": {0: "batch", 1: "sequence"}, "bbox": {0: "batch", 1: "sequence"}, "grid": {0: "batch"}},
        ),
        (
            {"inputs_embeds": torch.zeros(2, 7, 8), "decoder_inputs_embeds": torch.zeros(2, 5, 8)},
            {"inputs_embeds": {0: "batch", 1: "sequence"},
             "decoder_inputs_embeds": {0: "batch", 1: "decoder_sequence"}},
        ),
        ({"scale": torch.tensor(1.0), "flag": True}, {}),
    ],
)  # fmt: skip
def test_roles(inputs: dict[str, Any], expected: dict[str, dict[int, str]]) -> None:
    assert roles(inputs) == expected


NAMES = {"s0": "batch", "s1": "sequence"}


def size(text: str) -> Any:
    """What torch has for a size, as far as this reads it."""
    from torch.utils._sympy.functions import CeilToInt, FloorDiv, FloorToInt, IntTrueDiv, Max, Mod

    functions = {f.__name__: f for f in (CeilToInt, FloorDiv, FloorToInt, IntTrueDiv, Max, Mod)}
    names = {name: sympy.Symbol(name, integer=True, positive=True) for name in ("s0", "s1", "u0")}
    return SimpleNamespace(node=SimpleNamespace(expr=sympy.sympify(text, locals=functions | names)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("s0*s1", 21),
        ("s1 + 15", 22),
        ("FloorDiv(s1 + 1, 2)", 4),
        ("Mod(s1, 4)", 3),
        ("s1**2", 49),
        ("Max(s0, s1)", 7),
        ("CeilToInt(IntTrueDiv(s1, 2))", 4),
        ("FloorToInt(IntTrueDiv(s1, 2))", 3),
    ],
)
def test_a_size_of_torch_has_its_value_here(text: str, value: int) -> None:
    assert evaluate(expression(size(text), NAMES), {"batch": 3, "sequence": 7}) == value


def test_numbers_stay_numbers() -> None:
    assert expression(7, NAMES) == 7
    assert expression(size("7"), NAMES) == 7


def test_a_size_that_only_data_decide_is_told_apart() -> None:
    assert unchosen(size("s0*u0"), NAMES) == ["u0"]
    assert unchosen(7, NAMES) == []
    with pytest.raises(SizeError, match="only the data"):
        expression(size("u0 + 1"), NAMES)


def test_what_the_arithmetic_lacks_is_named() -> None:
    with pytest.raises(SizeError, match="IntTrueDiv"):
        expression(size("IntTrueDiv(s0, s1)"), NAMES)


def test_guards_become_conditions_and_what_goes_without_saying_is_left_out() -> None:
    guards = [
        "L['x'].size()[1] > 8",
        "(L['x'].size()[0] % 4) == 0",
        "L['x'].size()[1] == L['y'].size()[1]",
        "L['x'].size()[1] != 1",
        "12 <= 64",
        "not_a_comparison(L['x'])",
    ]
    kept, left = conditions(SimpleNamespace(_guards_code=guards), lambda _, dim: ("batch", "sequence")[dim])
    assert kept == ("sequence > 8", "(batch % 4) == 0")
    assert left == ("not_a_comparison(L['x'])",)
