"""Proof costs: cells by hand, predictions against what `benchmarks/proof_cost.py` measured, choices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from partwise.errors import InfeasibleError
from partwise.profiling import ProofSettings, ProofWork, choose_settings, proof_cost
from partwise.profiling.proof import ProofStep, count_cells

DATA = json.loads((Path(__file__).parents[3] / "docs" / "data" / "proof_cost.json").read_text())
LINEAR = (
    ProofWork(ProofStep.GIVEN, 32),
    ProofWork(ProofStep.DOT, 32, 32),
    ProofWork(ProofStep.CELL, 32),
    ProofWork(ProofStep.RELU, 32),
    ProofWork(ProofStep.RESULT, 32),
)


def test_cells_by_hand() -> None:
    """ezkl 23.0.5 said 3,072 of Gemm 32 → 32 with a bias and a Relu at 2 columns and 3 legs: D = 14."""
    assert count_cells(LINEAR, 2, 3) == (32 * 14 + 32 * 2 * 16 + 32 + 32 * 20 + 32 * 29, 0)
    assert count_cells(LINEAR, 2, 3)[0] == 3072


def test_cells_by_hand_of_a_checked_product() -> None:
    work = (ProofWork(ProofStep.CHECKED, 1, 9, (144, 4)),)
    assert count_cells(work, 2, 3) == (0, 144 * 4 + 144 * 9 + 9 * 4 + 9 + 144)
    assert count_cells(work, 2, 3, product_checks=False) == (144 * 4 * 2 * 5, 0)


def test_a_rebase_is_what_integer_mode_saves() -> None:
    """ezkl said 4,928 of the same layer at scale 7."""
    assert count_cells((*LINEAR, ProofWork(ProofStep.REBASE, 32)), 2, 3)[0] == 4928


def test_predictions_are_near_what_was_measured() -> None:
    """On circuits that the constants were not fitted to; the targets are 15 % in the median and 40 % at worst."""
    assert len(DATA["rows"]) >= 30
    for figure, worst in (("prove_s", 0.4), ("peak_bytes", 0.4), ("proving_key_bytes", 0.4), ("setup_s", 0.4)):
        assert DATA["errors"][figure]["held_out_median"] <= 0.15
        assert DATA["errors"][figure]["held_out_worst"] <= worst
    assert DATA["errors"]["assignments"]["worst"] <= 0.01


def test_the_packaged_constants_are_those_that_were_fitted() -> None:
    """The layer that is cheapest to write down again, at the settings that were measured."""
    row = next(r for r in DATA["rows"] if r["case"] == "linear 32-32" and r["settings"] == [9, 2, 256, 3])
    cost = proof_cost(LINEAR, ProofSettings(logrows=9, columns=2, base=256, legs=3))
    assert cost.assignments == row["assignments"]
    assert cost.prove_s == pytest.approx(row["prove_s"], rel=0.15)
    assert cost.setup_s == pytest.approx(row["setup_s"], rel=0.15)
    assert cost.peak_bytes == pytest.approx(row["peak_bytes"], rel=0.15)


def test_a_choice_holds_the_range_and_fits_its_blocks() -> None:
    for bits in (10, 20, 30, 40):
        choice = choose_settings(LINEAR, bits)
        chosen = choice.settings
        assert chosen.base**chosen.legs > 2**bits
        assert chosen.base <= chosen.rows
        assert not choice.cost.is_crowded


def test_no_other_settings_of_the_grid_are_cheaper() -> None:
    best = choose_settings(LINEAR, 20)
    for logrows in range(8, 16):
        for columns in (2, 3):
            base = 2**logrows - 16
            legs = next(n for n in range(1, 9) if base**n > 2**20)
            other = ProofSettings(logrows=logrows, columns=columns, base=base, legs=legs)
            cost = proof_cost(LINEAR, other)
            room = columns * other.rows
            if not cost.is_crowded and cost.assignments % room <= 0.995 * room:
                assert best.cost.cpu_s <= cost.cpu_s + 1e-12


def test_limits_that_nothing_keeps_say_what_would() -> None:
    with pytest.raises(InfeasibleError, match=r"at most 1000 bytes.*at least \d+ bytes.*more segments"):
        choose_settings(LINEAR, 20, peak_bytes=1000)
    with pytest.raises(InfeasibleError, match="no range check is wide enough"):
        choose_settings(LINEAR, 2000)


def test_a_peak_limit_is_kept() -> None:
    big = (*LINEAR, ProofWork(ProofStep.CELL, 6000))
    free, limit = choose_settings(big, 20), int(choose_settings(big, 20).cost.peak_bytes) + 1
    assert choose_settings(big, 20, peak_bytes=limit).cost == free.cost
