"""How a segment becomes a circuit: the prover's sizes, fixed before its keys are made and pinned by digest."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CircuitSettings", "Visibility"]


class Visibility(StrEnum):
    """What a proof reveals of the values that cross a segment's boundary."""

    PUBLIC = "public"
    """The values themselves are instances of the proof."""
    HASHED = "hashed"
    """Poseidon hashes of them are."""
    POLYCOMMIT = "polycommit"
    """KZG commitments to them stand at the head of the proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitSettings:
    """Of one segment. Source of the words: ezkl 23.0.5, `PyRunArgs`."""

    scale: int = 7
    """Fixed-point bits of inputs and weights: a value x becomes round(x · 2^scale)."""
    logrows: int | None = None
    """k: the circuit has 2^k rows; None lets the prover's calibration choose."""
    columns: int = 2
    """Inner columns C."""
    base: int = 512
    """Of the range checks' digits; below 2^k."""
    legs: int = 3
    """Digits of a range check: values lie within ± base^legs."""
    visibility: Visibility = Visibility.PUBLIC
    """Of the inputs and outputs; weights are always fixed in the verifying key."""
    check_mode: str = "safe"
    """`safe` or `unsafe`: whether the prover checks values as it lays them out. The verifier does not depend on it."""
    boundary_checks: bool = True
    """Whether inputs and outputs are range-checked in the circuit."""
    integer: bool = False
    """Weights and inputs are rounded beforehand to `scale` binary digits and nothing inside: the prover runs at 0."""
    product_checks: bool = True
    """Products of several rows and columns by Freivalds' method; False: each output is a running sum."""
    queries: int | None = None
    """Of a prover that checks spots (`recompute`): leaves that a proof opens; None for all."""
