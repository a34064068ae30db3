"""Requests held back: by thresholds of the machine, and by the bus."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from partwise.errors import InputError
from partwise.runtime import run_package
from partwise.runtime.governor import Accounted, Chain, Governor
from partwise.runtime.pace import Pace, traffic_bytes
from partwise.runtime.thresholds import Gate, Readings, Thresholds, passed, read_machine
from tests.packages import example, small_package

CALM = Readings(load=0.5, memory_bytes=1 << 30, temperature_c=50.0)


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        (Thresholds(), None),
        (Thresholds(load=0.5, memory_bytes=1 << 30, temperature_c=50.0), None),
        (Thresholds(load=0.4), "load 0.50 a processor, threshold 0.4"),
        (Thresholds(memory_bytes=2 << 30), "1.00 GiB of memory free, threshold 2.00 GiB"),
        (Thresholds(temperature_c=49.0), "50 °C, threshold 49 °C"),
    ],
)
def test_a_threshold_that_is_passed_is_told(thresholds: Thresholds, said: str | None) -> None:
    assert passed(thresholds, CALM) == said


def test_this_machine_is_read() -> None:
    found = read_machine()
    assert found.load is not None
    assert found.load >= 0
    assert (found.memory_bytes or 0) > 1 << 20


def test_what_cannot_be_read_cannot_be_a_threshold() -> None:
    blind = Readings(load=None, memory_bytes=None, temperature_c=None)
    with pytest.raises(InputError, match="shows no temperature"):
        Gate(Thresholds(temperature_c=90.0), lambda: blind)
    with pytest.raises(InputError, match="shows no load"):
        Gate(Thresholds(load=1.0), lambda: blind)


def test_traffic_is_weights_and_values_once_each(tmp_path: Path) -> None:
    manifest = small_package(tmp_path / "package", "null").manifest
    weights = sum(segment.weight_bytes for segment in manifest.segments)
    values = [port for segment in manifest.segments for port in (*segment.inputs, *segment.outputs)]
    elements = {"float32": 4, "bool": 1}
    row = sum(elements[port.dtype] * (port.shape[1] if len(port.shape or ()) > 1 else 1) for port in values)  # type: ignore
    assert traffic_bytes(manifest, {"batch": 3}) == weights + 3 * row


@pytest.mark.parametrize("executor", ["in-process", "processes"])
def test_a_governed_run_takes_its_time_and_gives_the_same(executor: str, tmp_path: Path) -> None:
    """The bus may carry 10 requests a second: 5 after the burst of one take 0.4 s or more."""
    package = small_package(tmp_path / "package", "null")
    requests = [example(seed=number) for number in range(5)]
    free = run_package(package, requests, save=False)
    size = traffic_bytes(package.manifest, {"batch": 2})
    accounted = Accounted()
    governor = Governor(roof_bytes_per_s=10.0 * size, share=1.0, burst_s=0.05)
    pace = Pace(None, governor, Chain([accounted]), accounted)
    start = time.monotonic()
    held = run_package(package, requests, executor=executor, save=False, pace=pace)
    assert (held.seconds or 0) >= 0.3
    assert time.monotonic() - start < 20
    assert held.record.requests == free.record.requests
    assert governor.last is not None
    assert governor.last.provider == "accounted"


def test_a_run_waits_while_the_machine_is_too_busy(tmp_path: Path) -> None:
    asked = list[float]()

    def read() -> Readings:
        asked.append(time.monotonic())
        return CALM if time.monotonic() > asked[0] + 0.6 else Readings(load=9.0, memory_bytes=0, temperature_c=0)

    pace = Pace(Gate(Thresholds(load=1.0), read))
    run = run_package(small_package(tmp_path / "package", "null"), example(), save=False, pace=pace)
    assert (run.seconds or 0) >= 0.5
