"""Real amounts as the solver's integers, so that its bound stays a bound.

Every amount is rounded down and so is the limit: what keeps a limit in reals keeps it in integers, and the smallest
value in integers is never above the smallest in reals. An amount beyond the limit is cut to just above it, so that
sums cannot overflow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, isfinite

import numpy as np

from partwise.planning.ideals import Channel

__all__ = ["Scale"]

_STEPS = 2**38  # integers from 0 to a limit: a sum of 2,700 amounts is off by 1e-8 of the limit at most
_EXACT = 2**50  # whole numbers up to here are taken as they are, and nothing is rounded


@dataclass(frozen=True, slots=True)
class Scale:
    """How amounts of one kind become integers.

    Attributes:
        factor: integers for 1.
        limit: the largest sum allowed, as an integer.
    """

    factor: float
    limit: int

    @classmethod
    def up_to(cls, limit: float, channels: Iterable[Channel]) -> Scale:
        """The scale for what some channels count, where sums stay at or below a limit that is finite and at least 0."""
        whole = all(
            bool((amounts == amounts.round()).all())
            for each in channels
            for amounts in (each.work, each.receive, each.send, each.again, np.array([each.fixed]))
        )
        factor = 1.0 if (whole and limit < _EXACT) or limit <= 0 else _STEPS / limit
        return cls(factor, floor(limit * factor))

    def integer(self, amount: float) -> int:
        """An amount rounded down; just above the limit if it is more than that."""
        scaled = amount * self.factor
        return min(floor(scaled), self.limit + 1) if isfinite(scaled) else self.limit + 1

    def real(self, amount: float) -> float:
        """What an integer stands for."""
        return amount / self.factor
