"""Every case runs on both engines and gives the shape that its graph states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from partwise.calibration import run_onnxruntime, run_torch
from partwise.calibration.cases import CASES, Case


@pytest.mark.parametrize("case", [case for case in CASES if case.figure != "memory"], ids=lambda case: case.name)
@pytest.mark.parametrize("engine", [run_torch, run_onnxruntime], ids=["torch", "onnxruntime"])
def test_a_case_gives_what_its_graph_says(engine: Any, case: Case) -> None:
    made = engine.prepare(case, 1)()
    result = made[0] if isinstance(made, list) else made.numpy()
    assert result.shape == case.out
    assert np.isfinite(result).all()


@pytest.mark.parametrize("engine", [run_torch, run_onnxruntime], ids=["torch", "onnxruntime"])
def test_a_launch_is_short(engine: Any) -> None:
    engine.empty_call(1)()
