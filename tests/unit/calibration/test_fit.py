"""Shares from timed operators, on times that are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from partwise.calibration import Timed, calibrate, entry_text, fit
from partwise.calibration.cases import CASES, Case, case_graph
from partwise.errors import DeviceError
from partwise.hardware import find_device, parse_hardware
from partwise.profiling import estimate, profile

TRUE = {
    "memory": 0.6,
    "vector": 0.7,
    "norm": 0.05,
    "softmax": 0.1,
    "tanh": 0.02,
    "max_pool": 0.01,
    "matmul": 0.5,
    "batched": 0.4,
    "attention": 0.3,
    "layout": 0.9,
    "conv": 0.45,
    "grouped": 0.2,
    "packing": 0.3,
}
MACHINE = replace(find_device("ultra9-185h"), launch_s=2e-6, conv_launch_s=5e-5)


def timed(shares: dict[str, float]) -> list[Timed]:
    device = replace(MACHINE, efficiency=shares)
    return [Timed(case, estimate(profile(case_graph(case)), device).seconds) for case in CASES]


def test_shares_are_found_again() -> None:
    found = fit(MACHINE, timed(TRUE), "a test")
    for row in timed(dict(found.efficiency)):
        before = estimate(profile(case_graph(row.case)), replace(MACHINE, efficiency=TRUE)).seconds
        assert row.seconds == pytest.approx(before, rel=0.35)  # what is bound by memory tells nothing of arithmetic
    assert found.efficiency["memory"] == pytest.approx(TRUE["memory"])
    assert found.efficiency["matmul"] == pytest.approx(TRUE["matmul"], rel=0.05)


def test_a_slower_machine_has_smaller_shares() -> None:
    slow = [Timed(row.case, 3 * row.seconds) for row in timed(TRUE)]
    fast, slower = fit(MACHINE, timed(TRUE), "a test").efficiency, fit(MACHINE, slow, "a test").efficiency
    assert all(slower[figure] < fast[figure] for figure in TRUE)


def test_the_entry_has_error_bars_and_reads_back() -> None:
    noisy = [Timed(row.case, row.seconds * (1 + 0.2 * (number % 3))) for number, row in enumerate(timed(TRUE))]
    found = fit(MACHINE, noisy, "a test")
    assert set(found.spread) == set(TRUE)
    assert max(found.spread.values()) > 0.01
    (again,) = parse_hardware(entry_text(found), "here.toml").devices
    assert again == found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_is_counted(case: Case) -> None:
    (cost,) = profile(case_graph(case)).nodes
    assert cost.traffic_bytes > 0
    assert (cost.macs > 0) == (case.op in ("linear", "bmm", "attention", "conv"))


def test_an_engine_that_is_not_known() -> None:
    with pytest.raises(DeviceError, match="torch"):
        calibrate("abacus")
