"""Verdicts, and the comparison they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

__all__ = ["Comparison", "Outcome", "Verdict", "compare"]


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
    """Same dtype, shape and bytes."""
    largest_difference: float
    """Largest absolute difference; infinity where dtype or shape differ."""
    relative_difference: float
    """The same over the largest magnitude of the expected values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement of a run."""

    outcome: Outcome
    reason: str
    chain: tuple[Comparison, ...]
    """Segments chained against the graph as one segment; must be equal bit for bit."""
    source: tuple[Comparison, ...]
    """The graph as one segment against the model that it came from."""


def compare(got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> tuple[Comparison, ...]:
    """Each expected output beside the one of the same name."""
    return tuple(_compare(name, got.get(name), value) for name, value in expected.items())


def _compare(name: str, got: np.ndarray | None, expected: np.ndarray) -> Comparison:
    if got is None or got.shape != expected.shape or got.dtype != expected.dtype:
        return Comparison(output=name, equal=False, largest_difference=np.inf, relative_difference=np.inf)
    equal = got.tobytes() == expected.tobytes()
    if equal or expected.size == 0:
        return Comparison(output=name, equal=equal, largest_difference=0.0, relative_difference=0.0)
    wide_got, wide = got.astype(np.float64), expected.astype(np.float64)
    largest = float(np.nanmax(np.abs(wide_got - wide)))
    scale = float(np.nanmax(np.abs(wide)))
    return Comparison(
        output=name, equal=False, largest_difference=largest, relative_difference=largest / (scale or 1.0)
    )
