"""Measured constants of the prover, packaged as data."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["ProofRates", "proof_rates"]

_FIGURES = ("circuit", "row", "cell", "einsum_cell", "crossed_cell", "crowded_cell")
Rates = tuple[float, ...]
"""Of a circuit at all; of a row (2^k); of a cell; of a cell in the columns of checked products; of a cell times the
number of their blocks; of a cell beyond `proof.MOST_BLOCKS`, in addition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRates:
    """What a circuit, a row and a cell take."""

    setup_s: Rates
    prove_s: Rates
    peak_bytes: Rates
    proving_key_bytes: Rates
    source: str


@cache
def proof_rates() -> ProofRates:
    """The constants that come with the package: `benchmarks/proof_cost.py` fits and writes them."""
    text = (resources.files("partwise.profiling") / "data" / "proof.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)

    def rates(name: str) -> Rates:
        return tuple(float(data[name][figure]) for figure in _FIGURES)

    return ProofRates(
        setup_s=rates("setup_s"),
        prove_s=rates("prove_s"),
        peak_bytes=rates("peak_bytes"),
        proving_key_bytes=rates("proving_key_bytes"),
        source=data["source"],
    )
