"""What a circuit costs to prove: cells, seconds, memory, keys, from its work and its settings.

The prover (halo2 as ezkl 23.0.5 lays it out) fills columns of 2^k rows; what it assigns is counted exactly by the
rules below, and time and memory grow with the filled columns. Rules and figures: docs/proof-cost.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod

from partwise.profiling.proof_rates import ProofRates, proof_rates

__all__ = ["ProofCost", "ProofSettings", "ProofStep", "ProofWork", "count_cells", "proof_cost"]

UNUSED_ROWS = 7
"""Of each column, which blind the proof. Source: ezkl 23.0.5, `total_assignments` against blocks, measured."""

MOST_BLOCKS = 16
"""Blocks of columns beyond which keys and times per cell jump. Source: setups of ezkl 23.0.5 with 1 to 17 blocks."""


class ProofStep(StrEnum):
    """What the prover lays out."""

    DOT = "dot"
    """Outputs of a product of one row: each a running sum."""
    CHECKED = "checked"
    """A product of at least two rows and columns, checked by Freivalds' method."""
    CELL = "cell"
    """One cell an element: a sum, a difference, a product."""
    RELU = "relu"
    REBASE = "rebase"
    """Division of an element back to the scale, with its range check."""
    LESS = "less"
    """A comparison of an element."""
    LOOKUP = "lookup"
    """An element of a table by a computed index, the table's rows apart."""
    GIVEN = "given"
    """An element of an input."""
    RESULT = "result"
    """An element of an output."""


TABLE_COLUMNS = 1.3
"""What a table by computed indices adds, in filled columns: its rows lie in columns of their own. Source: setup and
peak of the last segment of `benchmarks/proving_block.py` at k = 15 beside what was predicted without."""


TABLE_PEAK_BYTES = 3850.0
"""More memory that a proof takes for each cell of a circuit with such a table, since every column can look it up.
Source: `benchmarks/proving_block.py`, 18 segments of k = 11 and 12: 3,750 to 4,030. What it adds to the seconds is not
fitted: that machine was loaded."""


@dataclass(frozen=True, slots=True)
class ProofWork:
    """So many elements of one step."""

    step: ProofStep
    count: int
    depth: int = 1
    """Of a product: terms of each output; of a look-up: rows of its table."""
    sides: tuple[int, int] = (1, 1)
    """Of a checked product: rows and columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSettings:
    """Of one circuit."""

    logrows: int
    """k: columns have 2^k rows."""
    columns: int
    """Inner columns C."""
    base: int
    """Of the digits of a range check; at most 2^k − 7, so that a table fits one column."""
    legs: int
    """Digits: values lie within ± base^legs."""
    product_checks: bool = True
    """Products of several rows and columns by Freivalds' method; False: each output is a running sum."""

    @property
    def rows(self) -> int:
        """Rows of a column that hold values."""
        return 2**self.logrows - UNUSED_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofCost:
    """Of one circuit, predicted."""

    assignments: int
    einsum_assignments: int
    """Of checked products, which have columns of their own."""
    blocks: int
    einsum_blocks: int
    cells: int
    """columns × blocks × 2^k."""
    is_crowded: bool
    """So many blocks that the prover needs a larger extended domain."""
    setup_s: float
    """CPU-seconds of one thread."""
    prove_s: float
    """Witness and proof, CPU-seconds of one thread."""
    peak_bytes: float
    """Highest resident memory of the prover's process."""
    proving_key_bytes: float

    @property
    def cpu_s(self) -> float:
        """Setup and proof together."""
        return self.setup_s + self.prove_s


def count_cells(work: Sequence[ProofWork], columns: int, legs: int, product_checks: bool = True) -> tuple[int, int]:
    """Cells that the prover assigns, those of checked products apart.

    Args:
        work: of the circuit, its boundary included.
        columns: C.
        legs: of the range checks.
        product_checks: see `ProofSettings`.
    """
    digits = 2 * legs + 4 + columns * _parts(legs, columns)
    plain = checked = 0
    for each in work:
        match each.step:
            case ProofStep.DOT:
                plain += each.count * columns * _parts(each.depth, columns)
            case ProofStep.CHECKED if not product_checks:
                plain += each.count * prod(each.sides) * columns * _parts(each.depth, columns)
            case ProofStep.CHECKED:
                checked += each.count * _freivalds(each)
            case ProofStep.CELL:
                plain += each.count
            case ProofStep.RELU:
                plain += each.count * (digits + 6)
            case ProofStep.REBASE:
                plain += each.count * (3 * digits + 16)
            case ProofStep.LESS:
                plain += each.count * (digits + 13)
            case ProofStep.LOOKUP:
                plain += each.count * 5
            case ProofStep.GIVEN:
                plain += each.count * digits
            case ProofStep.RESULT:
                plain += each.count * (2 * digits + 1)
    return plain, checked


def proof_cost(work: Sequence[ProofWork], settings: ProofSettings, rates: ProofRates | None = None) -> ProofCost:
    """What a circuit costs under given settings.

    Args:
        work: of the circuit, its boundary included.
        settings: of the prover.
        rates: measured constants; by default those that come with the package.
    """
    plain, checked = count_cells(work, settings.columns, settings.legs, settings.product_checks)
    room = settings.columns * settings.rows
    blocks = plain // room + 1
    einsum_blocks = checked // room + 1 if checked else 0
    size = settings.columns * 2**settings.logrows
    known = rates or proof_rates()
    is_crowded = blocks > MOST_BLOCKS
    counts = (blocks, einsum_blocks, blocks * einsum_blocks, blocks * is_crowded)
    amounts = [float(count * size) for count in counts]
    has_table = any(each.step is ProofStep.LOOKUP for each in work)
    amounts[0] += TABLE_COLUMNS * 2**settings.logrows * has_table
    figures = (1.0, float(2**settings.logrows), *amounts)
    return ProofCost(
        assignments=plain,
        einsum_assignments=checked,
        blocks=blocks,
        einsum_blocks=einsum_blocks,
        cells=blocks * size,
        is_crowded=is_crowded,
        setup_s=_dot(known.setup_s, figures),
        prove_s=_dot(known.prove_s, figures),
        peak_bytes=_dot(known.peak_bytes, figures) + TABLE_PEAK_BYTES * blocks * size * has_table,
        proving_key_bytes=_dot(known.proving_key_bytes, figures),
    )


def _freivalds(work: ProofWork) -> int:
    """MN + MK + KN + K + M: both factors, the result, and the two random projections."""
    (rows, columns), depth = work.sides, work.depth
    return rows * columns + rows * depth + depth * columns + depth + rows


def _parts(terms: int, columns: int) -> int:
    return -(-terms // columns)


def _dot(rates: Sequence[float], figures: Sequence[float]) -> float:
    return sum(prod(pair) for pair in zip(rates, figures, strict=True))
