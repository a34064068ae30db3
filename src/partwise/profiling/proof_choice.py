"""Which settings prove a circuit most cheaply: every one in a small grid is priced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, log2

from partwise.errors import InfeasibleError
from partwise.profiling.proof import ProofCost, ProofSettings, ProofStep, ProofWork, proof_cost
from partwise.profiling.proof_rates import ProofRates

__all__ = ["PEAK_MARGIN", "ProofChoice", "choose_settings", "least_peak"]

PEAK_MARGIN = 1.18
"""By which a limit on memory is divided before predicted peaks are held to it. Source: the worst error of a predicted
peak among circuits that nothing was fitted to, 17 % (LeNet-5, docs/evidence.md); 8 % in data/proving_block.json."""

LOGROWS = range(8, 16)
"""2^k rows. Below 8 the fixed columns outweigh; above 15 nothing measured here became cheaper."""
COLUMNS = (2, 3)
"""4 and 6 double the extended domain, 8 quadruples it. Source: shared facts, measured."""
MOST_LEGS = 12
TABLE_MARGIN = 16
"""Rows that a table of range checks leaves free: 7 blind the proof, the others are for its default entries."""
FULL_SHARE = 0.995
"""Of the last block: fuller ones make ezkl 23.0.5 panic at setup (shared facts)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofChoice:
    """Settings and what they are predicted to cost."""

    settings: ProofSettings
    cost: ProofCost


def choose_settings(
    work: Sequence[ProofWork],
    range_bits: float,
    *,
    peak_bytes: int | None = None,
    most_logrows: int | None = None,
    rates: ProofRates | None = None,
) -> ProofChoice:
    """The settings of least CPU time among those that hold the values and the memory limit.

    Ties go to the smaller peak, then to fewer rows.

    Args:
        work: of the circuit, its boundary included.
        range_bits: every value is less than 2^range_bits in magnitude; need not be whole.
        peak_bytes: what the prover's process may take.
        most_logrows: that the reference string serves.
        rates: measured constants; by default those that come with the package.

    Raises:
        InfeasibleError: no settings keep the limits; it says what the least peak is.
    """
    sound = _sound(work, range_bits, most_logrows, rates)
    kept = [choice for choice in sound if peak_bytes is None or choice.cost.peak_bytes <= peak_bytes]
    if not kept:
        least = min((choice.cost.peak_bytes for choice in sound), default=None)
        raise InfeasibleError(
            "circuit",
            "no settings keep the limits",
            expected=f"at most {peak_bytes} bytes, values below 2^{range_bits:g}",
            got="no range check is wide enough" if least is None else f"at least {least:.0f} bytes",
            hint="more segments, or split its largest operator",
        )
    return min(kept, key=lambda c: (c.cost.cpu_s, c.cost.peak_bytes, c.settings.logrows))


def least_peak(work: Sequence[ProofWork], range_bits: float) -> float:
    """The least memory [bytes] that any settings take to prove a circuit; infinite where none hold its values.

    Args:
        work: of the circuit, its boundary included.
        range_bits: every value is less than 2^range_bits in magnitude.
    """
    return min((choice.cost.peak_bytes for choice in _sound(work, range_bits, None, None)), default=inf)


def _sound(
    work: Sequence[ProofWork], range_bits: float, most_logrows: int | None, rates: ProofRates | None
) -> list[ProofChoice]:
    """All settings that setup takes."""
    priced = [ProofChoice(settings=s, cost=proof_cost(work, s, rates)) for s in _grid(range_bits, most_logrows)]
    boundary = sum(each.count for each in work if each.step in (ProofStep.GIVEN, ProofStep.RESULT))
    tables = sum(each.depth for each in work if each.step is ProofStep.LOOKUP)
    return [choice for choice in priced if _fits(choice, max(boundary, tables))]


def _grid(range_bits: float, most_logrows: int | None) -> Iterator[ProofSettings]:
    """The widest base for each k, and the fewest legs that hold the range with it."""
    for logrows in LOGROWS:
        if most_logrows is not None and logrows > most_logrows:
            continue
        base = 2**logrows - TABLE_MARGIN
        legs = next((legs for legs in range(1, MOST_LEGS + 1) if legs * log2(base) > range_bits), None)
        if legs is not None:
            for columns, checks in product(COLUMNS, (True, False)):
                yield ProofSettings(logrows=logrows, columns=columns, base=base, legs=legs, product_checks=checks)


def _fits(choice: ProofChoice, column: int) -> bool:
    """Whether setup takes it: one column holds the boundary's values and the tables' rows, and no last block is full
    to the brim."""
    if column > choice.settings.rows:
        return False
    room = choice.settings.columns * choice.settings.rows
    cost = choice.cost
    return not cost.is_crowded and all(
        total % room <= FULL_SHARE * room for total in (cost.assignments, cost.einsum_assignments)
    )
