"""Sizes and conditions: a small arithmetic, and nothing else."""

from __future__ import annotations

import pytest

from partwise.errors import GraphError
from partwise.ir.dims import count, evaluate, evaluate_shape, holds, parse, parse_condition, symbols_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("batch", 3),
        ("batch*sequence", 21),
        ("(sequence + 15)//16", 1),
        ("-(-sequence//2)", 4),
        ("max(batch, sequence) - min(batch, sequence)", 4),
        ("sequence % 4", 3),
        (12, 12),
    ],
)
def test_an_expression_has_the_value_of_its_arithmetic(text: str | int, value: int) -> None:
    assert evaluate(text, {"batch": 3, "sequence": 7}) == value


def test_shapes_are_evaluated_and_counted() -> None:
    assert evaluate_shape(("batch", 4), {"batch": 2}) == (2, 4)
    assert count(("batch", 4), {"batch": 2}) == 8
    assert count((), {}) == 1


def test_symbols_of_an_expression_are_its_names_without_its_functions() -> None:
    assert symbols_of("max(batch, 2) * sequence") == {"batch", "sequence"}
    assert symbols_of(7) == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "__import__('os').system('true')",
        "batch.real",
        "batch[0]",
        "lambda: 1",
        "min()",
        "abs(batch)",
        "2**99999999",
        "1.5",
        "True",
        "'text'",
        "a if b else c",
        "(" * 500 + "1" + ")" * 500,
        "+".join(["1"] * 3000),
        "batch < 4",
    ],
)
def test_anything_but_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(GraphError, match="not an arithmetic expression"):
        parse(text)


def test_a_symbol_without_a_value_and_a_division_by_zero_are_named() -> None:
    with pytest.raises(GraphError, match="batch"):
        evaluate("batch + 1", {})
    with pytest.raises(GraphError, match="division by zero"):
        evaluate("8 // batch", {"batch": 0})


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("sequence > 8", False),
        ("sequence <= 8", True),
        ("batch % 4 == 0", True),
        ("batch*sequence != 8", True),
        ("8 // (batch - 4) == 1", False),
        ("batch == 3 or sequence == 7", True),
        ("batch == 4 and (sequence == 8 or sequence < 3)", False),
    ],
)
def test_conditions_compare_two_expressions(condition: str, expected: bool) -> None:
    assert holds(condition, {"batch": 4, "sequence": 7}) is expected


@pytest.mark.parametrize("text", ["sequence", "1 < 2 < 3", "a in b", "not a", "a < b.c", "f(x) == 1", "a < b or c"])
def test_anything_but_one_comparison_is_refused(text: str) -> None:
    with pytest.raises(GraphError, match="not a comparison"):
        parse_condition(text)


def test_a_condition_without_a_value_is_named() -> None:
    with pytest.raises(GraphError, match="sequence > 8"):
        holds("sequence > 8", {})
