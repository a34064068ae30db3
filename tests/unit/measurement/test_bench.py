"""Rates of packages: measured in turns, predicted from lone stages, honest about fake devices."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from partwise.cli.bench import bench
from partwise.errors import InputError
from partwise.measurement import Settings, bench_package
from partwise.measurement.predict import predicted_per_s
from partwise.measurement.rates import stream_per_s
from partwise.packaging import Package
from partwise.runtime.executors import Options, start_executor
from tests.packages import example, small_package

SLOW = "fake:null+time=0.1"
QUICK = Settings(engine=SLOW, threads=1, seconds=0.5, rounds=1, executors=("processes",))


def near(rate: float, expected: float) -> bool:
    """A busy machine makes everything slower, and nothing faster than it pretends to be, but for jitter."""
    return expected / 3 < rate < 1.2 * expected


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("bench") / "package", "null")


def test_three_equal_stages_beside_three_uncut_models(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partwise.measurement.case.default_threads", lambda: 3)
    found = bench_package(package, QUICK)
    (arrangement,) = found.arrangements
    # A stage sleeps 100 ms, and so does a whole model: 10 requests a second, three models 30.
    assert near(arrangement.per_s, 10)
    assert near(1 / arrangement.latency_s, 1 / 0.3)
    assert arrangement.predicted_per_s is not None
    assert near(arrangement.predicted_per_s, 10)
    assert found.ceiling is not None
    assert (found.ceiling.replicas, found.ceiling.threads) == (3, 1)
    assert near(found.ceiling.per_s, 30)
    assert arrangement.of_ceiling == pytest.approx(arrangement.per_s / found.ceiling.per_s)
    assert all("fake device (time=0.1)" in note for note in found.notes)
    assert len(found.notes) == 3
    assert all(near(1 / stage.compute_s, 10) for stage in arrangement.stages)
    assert [stage.planned_s for stage in arrangement.stages] == [None] * 3


def test_one_slow_stage_decides(package: Package) -> None:
    settings = Settings(engine="1=fake:null+time=0.2", threads=1, seconds=0.5, rounds=1, executors=("processes",),
                        uncut=False)  # fmt: skip
    found = bench_package(package, settings)
    assert near(found.arrangements[0].per_s, 5)
    assert (found.ceiling, found.arrangements[0].of_ceiling, found.arrangements[0].predicted_per_s) == (
        None,
        None,
        None,
    )


def test_a_stream_is_counted_while_it_is_full(package: Package) -> None:
    options = Options(engine=SLOW, threads=1, in_flight=4)
    with start_executor("processes", package, options) as executor:
        executor.ready()
        assert near(stream_per_s(executor, example(), 0.5, 4), 10)


@pytest.mark.parametrize(
    ("busy", "at_once", "contention", "per_s"),
    [
        ([0.1, 0.1], 2, 1.0, 10),
        ([0.1, 0.3], 2, 1.0, 1 / 0.3),
        ([0.1, 0.1, 0.1, 0.1], 2, 1.0, 5),  # two cores for four stages
        ([0.1], 1, 0.8, 8),
        ([0.1], 1, 1.2, 10),  # noise is no speed
    ],
)
def test_the_slowest_stage_or_the_cores_decide(
    busy: list[float], at_once: int, contention: float, per_s: float
) -> None:
    assert predicted_per_s(busy, at_once, contention) == pytest.approx(per_s)


def test_the_caller_takes_its_part_of_the_processors() -> None:
    assert predicted_per_s([0.1, 0.1], 2, 1.0, caller_s=0.05) == pytest.approx(8)


def test_what_would_swap_is_refused(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        available = -1  # the hand-made package says that its weights take nothing

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Full)
    with pytest.raises(InputError, match="holds the weights"):
        bench_package(package, QUICK)


def test_the_command_writes_what_it_shows(package: Package, tmp_path: Path) -> None:
    words = [str(package.path), "--engine", SLOW, "--seconds", "0.05", "--rounds", "1", "--executor", "processes"]
    done = CliRunner().invoke(bench, [*words, "-o", str(tmp_path / "b.json")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "requests/s" in done.stdout
    assert "no figure of real hardware" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    data = json.loads((tmp_path / "b.json").read_text())
    assert data["version"] == "partwise.bench/1"
    assert data["package"] == package.digest


def test_a_package_is_needed() -> None:
    done = CliRunner().invoke(bench, [])
    assert done.exit_code == 2
    assert "PACKAGE" in done.stderr
