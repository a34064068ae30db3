"""Expressions fitted to sizes that were seen."""

from __future__ import annotations

import pytest

from partwise.frontends.onnx.probe import fit
from partwise.ir.dims import evaluate

_POINTS = [{"n": 2, "s": 16}, {"n": 3, "s": 16}, {"n": 2, "s": 13}, {"n": 3, "s": 13}]


@pytest.mark.parametrize(
    "size",
    ["n", "s", "3*n", "n*s", "4*n*s", "s + 1", "2*s - 1", "n + s", "(s + 1)//2", "(s - 3)//4"],
)
def test_what_an_expression_gives_is_found(size: str) -> None:
    found = fit(_POINTS, [evaluate(size, point) for point in _POINTS])
    assert found is not None
    for other in ({"n": 5, "s": 40}, {"n": 1, "s": 9}):
        assert evaluate(found, other) == evaluate(size, other)


def test_a_size_that_never_moves_is_a_number() -> None:
    assert fit(_POINTS, [7, 7, 7, 7]) == 7


@pytest.mark.parametrize("values", [[7, 7, 7, 8], [2, 3, 9, 4], [5, 1, 5, 9]])
def test_what_nothing_explains_stays_unknown(values: list[int]) -> None:
    assert fit(_POINTS, values) is None
