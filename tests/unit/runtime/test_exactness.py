"""Engines without an exact way: measured on every run, within the user's limit or no run at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from partwise.errors import EngineError
from partwise.packaging import Package
from partwise.runtime import is_run, load_run, run_package
from partwise.runtime.difference import difference
from partwise.runtime.engines import EngineSettings
from partwise.runtime.exactness import Exactness, exact_outputs
from partwise.verification import verify_run
from tests.packages import example, small_package

pytest.importorskip("torch")


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return small_package(tmp_path / "package")


def watching(package: Package, limit: float, exact: bool | None = False) -> Exactness:
    settings = EngineSettings(engine="rough", version="1", device="cpu", threads=1, exact=exact)
    return Exactness(package=package, settings=[settings], threads=1, limit=limit)


def test_the_difference_is_measured_on_the_first_request(package: Package) -> None:
    inputs = example()
    expected = exact_outputs(package, inputs, 1)
    shifted = {name: value + np.float32(1e-3) for name, value in expected.items()}
    watch = watching(package, 1.0)
    watch.see(inputs, shifted)
    watch.see(inputs, {name: value + 99 for name, value in expected.items()})
    assert watch.found is not None
    assert watch.found.difference == pytest.approx(dict.fromkeys(expected, 1e-3), rel=1e-2)
    assert (watch.found.against, watch.found.requests, watch.found.limit) == ("torch", 1, 1.0)
    assert watch.exact is False


def test_beyond_the_limit_is_an_error(package: Package) -> None:
    expected = exact_outputs(package, example(), 1)
    watch = watching(package, 1e-6)
    with pytest.raises(EngineError, match="too far from torch's"):
        watch.see(example(), {name: value * np.float32(1.01) for name, value in expected.items()})


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_beyond_every_limit(package: Package, wrong: float) -> None:
    expected = exact_outputs(package, example(), 1)
    with pytest.raises(EngineError):
        watching(package, 1e9).see(example(), {name: np.full_like(value, wrong) for name, value in expected.items()})


def test_exact_engines_are_believed_and_nothing_is_computed_twice(package: Package) -> None:
    for exact in (True, None):
        watch = watching(package, 0.0, exact)
        watch.see(example(), {"third": np.zeros(1)})
        assert watch.found is None
        assert watch.exact == package.manifest.exact


def test_a_run_by_an_exact_engine_holds_no_difference(package: Package, tmp_path: Path) -> None:
    run = run_package(package, example(), threads=1, run_dir=tmp_path / "run")
    assert run.path is not None
    assert is_run(run.path)
    assert load_run(run.path).record.inexact is None


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_equal_arrays_have_no_difference(dtype: str) -> None:
    array = np.arange(6).astype(dtype)
    assert difference(array, array.copy()) == (0.0, 0.0)
    assert difference(array, array[:3])[0] == np.inf


def test_a_run_on_a_fake_device_is_verified_by_the_real_one(package: Package, tmp_path: Path) -> None:
    run = run_package(package, example(), engine="fake:torch+latency=0.001", threads=1, run_dir=tmp_path / "run")
    assert all(settings.fake == "latency=0.001" for settings in run.record.engines)
    verdict = verify_run(run, package)
    assert verdict.outcome == "accepted"
    assert verdict.notes == package.manifest.notes
