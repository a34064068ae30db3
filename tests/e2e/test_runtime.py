"""A clean end, whatever happens: from outside, on real processes, with a script that has no `__main__` guard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tests.packages import small_package

SCRIPT = """
import itertools, os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a script that is measured (coverage) writes its data in a handler
from partwise.packaging import open_package
from partwise.runtime.executors import Options, start_executor
sys.path.insert(0, {root!r})
from tests.packages import example

def forever():
    for number in itertools.count():
        if number == 20:
            print("running", *executor.pids, flush=True)
        yield example(seed=number % 7)

with start_executor("processes", open_package({package!r}), Options(engine="null", threads=1)) as executor:
    for answer in executor.run(forever()):
        pass
"""


@dataclass
class Running:
    process: subprocess.Popen[str]
    workers: tuple[int, ...]


@pytest.fixture
def heard() -> Generator[None]:
    """Interrupt and hang-up as a terminal's programs have them: tests in the background (`nohup … &`) ignore both."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def running(tmp_path: Path, heard: None) -> Generator[Running]:  # noqa: ARG001
    """A script in the middle of an endless stream, in a process group of its own as a terminal would start it."""
    package = small_package(tmp_path / "package", "null")
    script = tmp_path / "endless.py"
    script.write_text(SCRIPT.format(root=str(Path(__file__).parents[2]), package=str(package.path)))
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    assert process.stdout is not None
    word, *pids = process.stdout.readline().split()
    assert word == "running"
    yield Running(process, tuple(map(int, pids)))
    process.kill()
    process.communicate()


def assert_nothing_left(running: Running) -> None:
    deadline = time.monotonic() + 10
    while alive := [pid for pid in (running.process.pid, *running.workers) if _lives(pid)]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.02)
    assert not [name for name in os.listdir("/dev/shm") if "partwise" in name]


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


ENDS: dict[str, Callable[[int], None]] = {
    "Ctrl-C in a terminal": lambda pid: os.killpg(pid, signal.SIGINT),
    "an interrupt to the parent alone": lambda pid: os.kill(pid, signal.SIGINT),
    "SIGTERM": lambda pid: os.kill(pid, signal.SIGTERM),
    "a hang-up": lambda pid: os.kill(pid, signal.SIGHUP),
    "SIGKILL of the parent": lambda pid: os.kill(pid, signal.SIGKILL),
}


@pytest.mark.parametrize("how", ENDS)
def test_nothing_is_left(running: Running, how: str) -> None:
    assert all(map(_lives, running.workers))
    ENDS[how](running.process.pid)
    assert_nothing_left(running)
    _, stderr = running.process.communicate()
    assert stderr.count("Traceback") == (1 if "nterrupt" in how or "Ctrl" in how else 0), stderr


def test_two_interrupts_at_once(running: Running) -> None:
    for _ in range(2):
        os.killpg(running.process.pid, signal.SIGINT)
        time.sleep(0.01)
    assert_nothing_left(running)


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_dead_worker_is_replaced_and_nothing_is_left_in_the_end(running: Running, stage: int) -> None:
    os.kill(running.workers[stage], signal.SIGKILL)
    deadline = time.monotonic() + 20
    parent = psutil.Process(running.process.pid)
    while len(now := {child.pid for child in parent.children()} - {running.workers[stage]}) < 3:
        assert time.monotonic() < deadline, "no other worker"
        time.sleep(0.02)
    assert _lives(running.process.pid)
    os.kill(running.process.pid, signal.SIGTERM)
    assert_nothing_left(Running(running.process, (*running.workers, *now)))


def test_a_workers_failure_in_the_engine_is_told_in_its_own_words(tmp_path: Path) -> None:
    """Through `partwise.run` on a real engine: an id outside the table fails inside torch."""
    pytest.importorskip("torch")
    import numpy as np
    import torch

    import partwise
    from partwise.errors import EngineError

    model = torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)).eval()
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    package = partwise.cut(model, partwise.plan(partwise.capture(model, (ids,)), stages=2), tmp_path / "p")
    name = package.manifest.inputs[0].tensor
    runs = [partwise.run(package, {name: ids.numpy()}, executor=kind) for kind in ("in-process", "processes")]
    first, second = (next(iter(run.outputs.values())).tobytes() for run in runs)
    assert first == second
    for kind in ("in-process", "processes"):
        with pytest.raises(EngineError, match="index out of range"):
            partwise.run(package, {name: np.array([[1, 99, 3]])}, executor=kind)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["run_1", "run_2"]
