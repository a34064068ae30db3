"""Comparisons: bit for bit, and by how much."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from partwise.digest import canonical_json
from partwise.verification import Outcome, Verdict, compare, verdict_to_data
from partwise.verification.verdict import worst

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("got", "expected", "largest"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([NAN, 2.0], [NAN, 2.5], 0.5),
        ([NAN, 2.0], [1.0, 2.0], INF),
        ([1.0, 2.0], [NAN, 2.0], INF),
        ([INF, 2.0], [INF, 1.0], 1.0),
        ([INF, 2.0], [-INF, 2.0], INF),
        ([INF, 2.0], [1.0, 2.0], INF),
        ([0.0, 1.0], [-0.0, 1.0], 0.0),
        ([NAN, NAN], [NAN, -NAN], 0.0),
    ],
)
def test_unequal_by_how_much(got: list[float], expected: list[float], largest: float) -> None:
    (found,) = compare({"y": np.array(got)}, {"y": np.array(expected)})
    assert not found.equal
    assert found.largest_difference == largest


@pytest.mark.parametrize("dtype", ["bool", "int64", "float16", "float32", "complex64", ml_dtypes.bfloat16])
def test_every_type_compares(dtype: str) -> None:
    ours, theirs = np.zeros(3).astype(dtype), np.array([0, 1, 0]).astype(dtype)
    assert compare({"y": ours}, {"y": ours.copy()})[0].equal
    (found,) = compare({"y": ours}, {"y": theirs})
    assert (found.equal, found.largest_difference, found.relative_difference) == (False, 1.0, 1.0)


def test_equal_nans_are_equal() -> None:
    values = np.array([NAN, INF, -0.0])
    assert compare({"y": values}, {"y": values.copy()})[0].equal


@pytest.mark.parametrize("got", [{}, {"y": np.zeros(2)}, {"y": np.zeros((3, 1))}, {"y": np.zeros(3, np.float32)}])
def test_another_kind_is_infinitely_far(got: dict[str, np.ndarray]) -> None:
    (found,) = compare(got, {"y": np.zeros(3)})
    assert (found.equal, found.largest_difference) == (False, INF)


def test_the_worst_of_several() -> None:
    one = compare({"y": np.array([1.0])}, {"y": np.array([1.0])})
    two = compare({"y": np.array([1.0])}, {"y": np.array([2.0])})
    (found,) = worst([one, two, one])
    assert (found.equal, found.largest_difference, found.relative_difference) == (False, 1.0, 0.5)
    assert worst([]) == ()


def test_a_verdict_is_plain_data() -> None:
    verdict = Verdict(outcome=Outcome.REJECTED, reason="r", chain=compare({}, {"y": np.zeros(1)}))
    data = verdict_to_data(verdict)
    canonical_json(data)
    assert data["outcome"] == "rejected"
    assert data["chain"] == [{"output": "y", "equal": False, "largest_difference": None, "relative_difference": None}]
