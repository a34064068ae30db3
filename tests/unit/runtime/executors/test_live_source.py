"""A source that has nothing now does not keep finished answers waiting."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Timer

import numpy as np
import pytest

from partwise.runtime.executors import EXECUTORS, Options
from partwise.runtime.executors.processes import Processes
from partwise.runtime.schedule import Policy
from tests.packages import example, small_package
from tests.remote import start_executor


@pytest.mark.parametrize("kind", EXECUTORS)
def test_answers_come_while_the_source_is_idle(kind: str, tmp_path: Path) -> None:
    """Each request is offered only once the one before it was answered, though more may be in flight."""
    package = small_package(tmp_path / "package", "null")
    answered = list[int]()
    asked = 0

    def live() -> Iterator[dict[str, np.ndarray] | None]:
        nonlocal asked
        for number in range(5):
            while len(answered) < number:
                asked += 1
                yield None
            yield example(seed=number)

    with start_executor(kind, package, Options(engine="null", threads=1, in_flight=4)) as executor:
        for answer in executor.run(live()):
            answered.append(answer.request)
        whole = [answer.outputs["y"].tobytes() for answer in executor.run(example(seed=n) for n in range(5))]
    assert answered == list(range(5))
    assert asked >= 4
    assert len(set(whole)) == 5


def test_a_source_says_when_it_is_to_be_asked_again(tmp_path: Path) -> None:
    """While one request computes for 3 × 0.2 s, nothing else happens, and the source is asked every 20 ms."""
    package = small_package(tmp_path / "package", "null")
    answered, asked = list[int](), 0

    def live() -> Iterator[dict[str, np.ndarray] | float]:
        nonlocal asked
        yield example()
        while not answered:
            asked += 1
            yield 0.02

    options = Options(engine="fake:null+time=0.2", threads=1, in_flight=2)
    with start_executor("processes", package, options) as executor:
        for answer in executor.run(live()):
            answered.append(answer.request)
    assert asked >= 10


@pytest.mark.parametrize("kind", EXECUTORS)
def test_a_source_is_woken(kind: str, tmp_path: Path) -> None:
    """From another thread, while a request computes: the second is offered long before the first is answered."""
    package = small_package(tmp_path / "package", "null")
    ready, offered, answered = Event(), list[float](), list[float]()

    def live() -> Iterator[dict[str, np.ndarray] | None]:
        yield example()
        while not ready.is_set():
            yield None
        offered.append(time.monotonic())
        yield example()

    def wake() -> None:
        ready.set()
        executor.wake()

    options = Options(engine="fake:null+time=0.2", threads=1, in_flight=2, workers=3)
    with start_executor(kind, package, options) as executor:
        executor.ready()
        Timer(0.05, wake).start()
        for _ in executor.run(live()):
            answered.append(time.monotonic())
    assert offered[0] < answered[0] - 0.2
    executor.wake()  # nothing runs any more: nothing happens


def test_a_worker_that_dies_while_nobody_asks_is_replaced_before_anybody_does(tmp_path: Path) -> None:
    """An idle server must not leave it to the next request to find out."""
    package = small_package(tmp_path / "package", "null")
    told = list[str]()

    def live() -> Iterator[dict[str, np.ndarray] | None]:
        yield example()
        before = set(executor.pids)
        while len(told) < 2:
            if len(told) == 0 and set(executor.pids) == before:
                os.kill(executor.pids[1], signal.SIGKILL)
            if len(told) == 1 and len(executor.pids) == 3:  # the second falls silent once the first is replaced
                os.kill(executor.pids[2], signal.SIGSTOP)
            assert time.monotonic() < deadline, told
            time.sleep(0.02)
            yield None
        yield example()

    policy = Policy(tick_s=0.1, heartbeat_s=0.5)
    options = Options(engine="null", threads=1, policy=policy, on_incident=lambda incident: told.append(incident.what))
    with Processes(package, options) as executor:
        executor.ready()
        deadline = time.monotonic() + 20
        first, second = executor.run(live())
    assert told == ["lost", "silent"]
    assert first.outputs["y"].tobytes() == second.outputs["y"].tobytes()
