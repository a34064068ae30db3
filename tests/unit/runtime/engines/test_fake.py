"""The device that is not there: slower, smaller, farther away, faulty; and it says so."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.packages import example, small_package

from partwise.errors import EngineError, EngineMemoryError, RunError
from partwise.packaging import Package
from partwise.runtime import Policy, run_package
from partwise.runtime.engines import make_engine


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return small_package(tmp_path / "package", "null")


def test_it_gives_the_bits_of_the_real_engine(package: Package) -> None:
    real = run_package(package, example(), save=False, threads=1)
    fake = run_package(package, example(), engine="1=fake:null+latency=0.001", save=False, threads=1)
    assert fake.outputs.keys() == real.outputs.keys()
    assert all(fake.outputs[name].tobytes() == real.outputs[name].tobytes() for name in real.outputs)
    assert [settings.fake for settings in fake.record.engines] == [None, "latency=0.001", None]


def test_it_takes_the_time_that_it_pretends(package: Package) -> None:
    segment = make_engine("fake:null+time=0.05+latency=0.01+bandwidth=1KB", 1).load(package.segment(0))
    values = {port.tensor: example()[port.tensor] for port in package.manifest.segments[0].inputs}
    start = time.monotonic()
    given = segment.run(values, {"batch": 2})
    crossed = sum(value.nbytes for value in (*values.values(), *given.values()))
    assert time.monotonic() - start >= 0.05 + 2 * 0.01 + crossed / 1000


def test_what_does_not_fit_is_out_of_memory(package: Package) -> None:
    with pytest.raises(EngineMemoryError, match="does not fit into the fake device") as caught:
        make_engine("fake:null+memory=16B", 1).load(package.segment(0))
    assert caught.value.kind == "memory"
    loaded = make_engine("fake:null+memory=80B", 1).load(package.segment(0))  # the weights alone are 64 bytes
    with pytest.raises(EngineMemoryError):
        loaded.run({"x": np.zeros((2, 4), np.float32)}, {"batch": 2})


def one_task(package: Package, fault: str) -> Callable[[], dict[str, np.ndarray]]:
    loaded = make_engine(f"fake:null+{fault}=3", 1).load(package.segment(0))
    return lambda: loaded.run({"x": np.zeros((2, 4), np.float32)}, {"batch": 2})


@pytest.mark.parametrize(("fault", "error"), [("fail", EngineError), ("oom", EngineMemoryError)])
def test_every_third_task_fails(package: Package, fault: str, error: type[Exception]) -> None:
    task = one_task(package, fault)
    for _ in range(2):
        task()
        task()
        with pytest.raises(error):
            task()


def test_every_third_task_answers_with_another_shape(package: Package) -> None:
    task = one_task(package, "shape")
    assert [next(iter(task().values())).shape for _ in range(4)] == [(2, 4), (2, 4), (2, 4, 2), (2, 4)]


def test_a_run_survives_and_tells_what_went_wrong(package: Package) -> None:
    requests = [example(seed=number) for number in range(4)]
    real = run_package(package, requests, save=False, threads=1)
    run = run_package(package, requests, engine="1=fake:null+fail=3", save=False, threads=1)
    assert [r.record.outputs for r in run.requests] == [r.record.outputs for r in real.requests]
    assert run.record.incidents
    assert "the fake device fails" in str(run.record.incidents)


def test_what_does_not_fit_ends_the_run_or_goes_to_the_cpu(package: Package) -> None:
    """The kind of an error crosses the border of processes, and the schedule acts on it."""
    given: dict[str, Any] = {"engine": "1=fake:null+memory=16B", "executor": "processes", "save": False, "threads": 1}
    with pytest.raises(RunError, match="stage 1"):
        run_package(package, example(), **given)
    run = run_package(package, example(), policy=Policy(cpu_fallback=True), **given)
    assert run.requests[0].record.outputs == run_package(package, example(), save=False).requests[0].record.outputs
    assert [settings.fake for settings in run.record.engines] == [None, None, None]


def test_it_dies_with_its_process(package: Package) -> None:
    text = (
        "import numpy, sys; from partwise.packaging import open_package\n"
        "from partwise.runtime.engines import make_engine\n"
        "loaded = make_engine('fake:null+die=2', 1).load(open_package(sys.argv[1]).segment(0))\n"
        "for number in range(3):\n"
        "    loaded.run({'x': numpy.zeros((2, 4), numpy.float32)}, {'batch': 2}); print(number, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", text, str(package.path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (9, "0\n"), done.stderr


def test_a_trace_names_the_stages_that_pretend(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    given: dict[str, Any] = {"save": False, "threads": 1, "trace": path}
    run_package(package, example(), engine="1=fake:null+time=0.001", **given)
    assert json.loads(path.read_text())["fake"] == {"1": "time=0.001"}
    run_package(package, example(), **given)
    assert "fake" not in json.loads(path.read_text())
