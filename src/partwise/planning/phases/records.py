"""How a request of a language model is served: the plans of its phases, and all ways that were compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from partwise.planning.records import Plan

__all__ = ["Alternative", "Answer", "PhasePlan"]


class Answer(StrEnum):
    """How a request is best served."""

    WHOLE = "do not split"
    DIVIDED = "split"
    BY_PHASE = "split by phase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One way to serve a request."""

    name: str
    answer: Answer
    value: float | None
    """Seconds of a whole request; None where it does not fit."""
    prefill_s: float
    decode_s: float
    """Of one token."""
    transfer_s: float = 0.0
    """Of the K/V, between the phases."""
    why_not: str = ""
    """What forbids it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan:
    """How to serve a request of a language model: a plan for each phase."""

    answer: Answer
    reason: str
    prompt: int
    """Tokens of each sequence that are read."""
    generate: int
    """Tokens of each sequence that are made: the first by prefill, each other by one step of decode."""
    value: float
    """Seconds of a whole request."""
    bound: float
    """No pair of plans takes less: each phase's own bound, and nothing for moving K/V."""
    gap: float | None
    transfer_bytes: int
    """Of the K/V that move from the one plan's devices to the other's."""
    transfer_s: float
    prefill: Plan = field(repr=False)
    decode: Plan = field(repr=False)
    """At the mean number of tokens that are there."""
    alternatives: tuple[Alternative, ...]
    """All that were compared, the quickest first."""
