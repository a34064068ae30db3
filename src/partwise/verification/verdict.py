"""Verdicts, and the comparison they rest on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from partwise.runtime.difference import difference

__all__ = ["RELATIVE_LIMIT", "Comparison", "Outcome", "Verdict", "compare", "verdict_to_data", "worst"]

RELATIVE_LIMIT = 1e-5
"""Of the largest magnitude of an output: how far a whole may be from its source where an operator takes another
kernel than the model's own code (a weight of the model off a cache line). Assumed."""


class Outcome(StrEnum):
    """What was found."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One output beside what it should be."""

    output: str
    equal: bool
    """Same dtype, shape and bytes; a NaN equals itself, bit for bit."""
    largest_difference: float
    """Largest absolute difference; infinity where dtype or shape differ, or only one of two elements is a number."""
    relative_difference: float
    """The same over the largest finite magnitude of the expected values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement of a run or a package. Of several requests, each output's worst comparison is shown."""

    outcome: Outcome
    reason: str
    chain: tuple[Comparison, ...] = ()
    """Segments chained against the graph as one segment; must be equal bit for bit."""
    source: tuple[Comparison, ...] = ()
    """The graph as one segment against the model that it came from; empty if no model was given."""
    recorded: tuple[Comparison, ...] = ()
    """What a saved run claims as its outputs against what its inputs give; empty for a package."""
    requests: int = 0
    """How many were computed again."""
    notes: tuple[str, ...] = ()


def verdict_to_data(verdict: Verdict) -> dict[str, object]:
    """A verdict as plain JSON data; an infinite difference is null, since JSON has no infinity."""
    lists = ("chain", "source", "recorded")
    return {
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        **{name: [_comparison_to_data(found) for found in getattr(verdict, name)] for name in lists},
        "requests": verdict.requests,
        "notes": list(verdict.notes),
    }


def compare(got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> tuple[Comparison, ...]:
    """Each expected output beside the one of the same name."""
    return tuple(_compare(name, got.get(name), value) for name, value in expected.items())


def worst(comparisons: Iterable[tuple[Comparison, ...]]) -> tuple[Comparison, ...]:
    """For each output the largest differences over several requests."""
    found: dict[str, Comparison] = {}
    for comparison in (one for several in comparisons for one in several):
        other = found.get(comparison.output, comparison)
        found[comparison.output] = Comparison(
            output=comparison.output,
            equal=comparison.equal and other.equal,
            largest_difference=max(comparison.largest_difference, other.largest_difference),
            relative_difference=max(comparison.relative_difference, other.relative_difference),
        )
    return tuple(found.values())


def _compare(name: str, got: np.ndarray | None, expected: np.ndarray) -> Comparison:
    if got is None:
        return Comparison(output=name, equal=False, largest_difference=math.inf, relative_difference=math.inf)
    largest, relative = difference(got, expected)
    equal = math.isfinite(largest) and got.tobytes() == expected.tobytes()
    return Comparison(output=name, equal=equal, largest_difference=largest, relative_difference=relative)


def _comparison_to_data(found: Comparison) -> dict[str, object]:
    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "output": found.output,
        "equal": found.equal,
        "largest_difference": finite(found.largest_difference),
        "relative_difference": finite(found.relative_difference),
    }
