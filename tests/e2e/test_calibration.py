"""Every case runs on both engines and gives the shape that its graph states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from partwise.calibration import cases, run_onnxruntime, run_torch
from partwise.calibration.calibrate import median_seconds
from partwise.calibration.cases import CASES, Case


@pytest.mark.parametrize("case", [case for case in CASES if case.figure != "memory"], ids=lambda case: case.name)
@pytest.mark.parametrize("engine", [run_torch, run_onnxruntime], ids=["torch", "onnxruntime"])
def test_a_case_gives_what_its_graph_says(engine: Any, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "_MOST_COPIES", 2)
    prepared = engine.prepare(case, 1)
    made = prepared.call()
    result = (made.get_outputs()[-1] if engine is run_onnxruntime else made).numpy()
    assert prepared.operators == case.copies == (2 if case.weights else 1)
    assert result.shape == case.out
    assert np.isfinite(result).all()


@pytest.mark.parametrize("engine", [run_torch, run_onnxruntime], ids=["torch", "onnxruntime"])
def test_a_launch_is_short(engine: Any) -> None:
    assert median_seconds(engine.launches(1)) < 1e-3


@pytest.mark.parametrize("engine", [run_torch, run_onnxruntime], ids=["torch", "onnxruntime"])
def test_a_launch_among_products_is_the_difference_of_two_chains(engine: Any) -> None:
    mixed, alone = engine.cold_launches(1)
    assert mixed.operators == alone.operators
    assert 0 < median_seconds(mixed) - median_seconds(alone) < 1e-3
