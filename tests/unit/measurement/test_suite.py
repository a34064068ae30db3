"""The acceptance list: met, missed, or not measurable here with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from partwise.cli.bench import bench
from partwise.errors import EngineError
from partwise.measurement import Status
from partwise.measurement.criteria import CRITERIA, copy_bytes_per_s
from partwise.measurement.suite import Criterion, Found, Machine, NotMeasurableError, judge
from tests.packages import small_package


def failing(machine: Machine) -> Found:
    raise EngineError(machine.package.manifest.model, "broke")


def lacking(machine: Machine) -> Found:
    raise NotMeasurableError(f"{machine.seconds} s are not enough")


PROBES = {
    "good": lambda _: Found(value=1.0, unit="x", met=True),
    "bad": lambda _: Found(value=2.0, unit="x", met=False, note="too much"),
    "broken": failing,
    "absent": lacking,
}


def test_each_criterion_has_its_status_and_reason(tmp_path: Path) -> None:
    package = small_package(tmp_path / "package", "null")
    machine = Machine(package=package, is_built_in=True, seconds=0.01, rounds=1)
    criteria = tuple(Criterion(name=name, asks="", suites=("a",), probe=probe) for name, probe in PROBES.items())
    other = Criterion(name="other", asks="", suites=("b",), probe=PROBES["good"])
    found = {result.name: result for result in judge("a", (*criteria, other), machine).results}
    assert {name: result.status for name, result in found.items()} == {
        "good": Status.MET,
        "bad": Status.MISSED,
        "broken": Status.MISSED,
        "absent": Status.NOT_MEASURABLE,
    }
    assert "broke" in found["broken"].note
    assert found["absent"].note == "0.01 s are not enough"
    assert found["bad"].value == 2.0


def test_every_criterion_belongs_to_a_suite() -> None:
    assert {name for criterion in CRITERIA for name in criterion.suites} == {"laptop", "gpu"}
    assert len({criterion.name for criterion in CRITERIA}) == len(CRITERIA)


def test_a_copy_has_a_rate() -> None:
    assert 0 < copy_bytes_per_s(0.01) < 1e13


@pytest.mark.slow
def test_the_list_on_this_machine(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    words = ["--suite", "laptop", "--seconds", "0.1", "--rounds", "1", "-o", str(tmp_path / "suite.json")]
    done = CliRunner().invoke(bench, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.split("latency:")[0].splitlines())) <= 100
    results = {r["name"]: r for r in json.loads((tmp_path / "suite.json").read_text())["results"]}
    assert results["kernels"]["status"] == "met"
    assert results["CPU-only path"]["status"] == "met"
    assert results["fallback"]["status"] == "met"
    assert results["latency"]["status"] == "not measurable here"
    if not (torch.cuda.is_available() or torch.xpu.is_available()):
        assert results["contention"]["status"] == "not measurable here"
    for result in results.values():
        assert (result["value"] is None) == (result["status"] == "not measurable here"), result
