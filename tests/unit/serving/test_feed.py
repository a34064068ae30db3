"""The feeding thread without HTTP: batches, failures, reloads and the end, over an engine that fails on demand."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from partwise.errors import EngineError, InputError, InterfaceMismatchError, PartwiseError, RunError
from partwise.packaging import Package, open_package
from partwise.runtime import ENGINES, run_package
from partwise.runtime.executors import Options
from partwise.runtime.executors.in_process import InProcess
from partwise.runtime.governor import Governor
from partwise.runtime.pace import Pace, traffic_bytes
from partwise.runtime.schedule import Incident, Policy
from partwise.runtime.trace import Trace
from partwise.serving.feed import Feed
from partwise.serving.jobs import BusyError, Job
from partwise.serving.setup import Setup
from tests.engines import POISON
from tests.packages import change_manifest, example, small_package
from tests.waiting import assert_gone, until

POLICY = Policy(keep_going=True, divide=False, attempts=1)


@dataclass
class Told:
    rows: list[int] = field(default_factory=list[int])
    spans: int = 0
    incidents: list[Incident] = field(default_factory=list[Incident])
    errors: list[PartwiseError] = field(default_factory=list[PartwiseError])

    def answered(self, rows: int) -> None:
        self.rows.append(rows)

    def measured(self, trace: Trace) -> None:
        self.spans += len(trace.segments)

    def incident(self, incident: Incident) -> None:
        self.incidents.append(incident)

    def restarted(self, error: PartwiseError) -> None:
        self.errors.append(error)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.setitem(ENGINES, "picky", "tests.engines:Picky")
    return small_package(tmp_path / "package", "null")


def setup_of(package: Package, **changes: Any) -> Setup:
    made = Setup(
        package=package,
        executor="in-process",
        options=Options(engine="picky", threads=1, policy=POLICY),
        max_batch=4,
        batch_delay_s=0.2,
    )
    return replace(made, **changes)


@contextmanager
def feeding(setup: Setup, *, room: int = 99) -> Generator[tuple[Feed, Told]]:
    told = Told()
    feed = Feed(setup, told, room=room)
    feed.start()
    try:
        deadline = time.monotonic() + 20
        while not feed.ready.wait(0.01) and feed.error is None:
            assert time.monotonic() < deadline
        yield feed, told
    finally:
        feed.close(20)


def expected(package: Package, values: dict[str, np.ndarray]) -> bytes:
    return run_package(package, values, engine="picky", save=False).outputs["y"].tobytes()


def poisoned(rows: int = 1) -> dict[str, np.ndarray]:
    values = example(rows, seed=5)
    values["x"][0, 0] = POISON
    return values


def test_requests_are_run_together_and_get_their_own(package: Package) -> None:
    requests = [example(1 + number % 2, seed=number) for number in range(6)]
    with feeding(setup_of(package)) as (feed, told):
        jobs = [feed.submit(values) for values in requests]
        found = [job.future.result(20) for job in jobs]
    assert [one.outputs["y"].tobytes() for one in found] == [expected(package, values) for values in requests]
    assert max(told.rows) == 4
    assert sum(told.rows) == sum(len(values["x"]) for values in requests)
    assert told.spans == 3 * len(told.rows)
    assert all(len(one.segments) == 3 for one in found)
    assert told.incidents == []


def test_only_the_guilty_fails(package: Package) -> None:
    """Joined with three good ones; the batch fails, each is repeated by itself, and nothing is started anew."""
    requests = [example(1, seed=1), poisoned(), example(1, seed=2), example(1, seed=3)]
    with feeding(setup_of(package)) as (feed, told):
        jobs = [feed.submit(values) for values in requests]
        wait([job.future for job in jobs], 20)
        with pytest.raises(EngineError, match="will not eat that"):
            jobs.pop(1).future.result(0)
        del requests[1]
        for job, values in zip(jobs, requests, strict=True):
            assert job.future.result(0).outputs["y"].tobytes() == expected(package, values)
        assert feed.submit(example()).future.result(20)
    assert told.errors == []
    assert {incident.what for incident in told.incidents} <= {"failed", "given up"}
    assert told.incidents


def test_what_fails_leaves_nothing_measured_behind(package: Package) -> None:
    """A request that fails in the last stage has been measured in those before it; a server runs for months."""
    policy = replace(POLICY, exclude_after=99, abandon_after=99)
    options = Options(engine="null,null,fake:null+fail=1", threads=1, policy=policy)
    with feeding(setup_of(package, options=options, max_batch=1)) as (feed, told):
        jobs = [feed.submit(example()) for _ in range(5)]
        assert all(isinstance(job.future.exception(20), EngineError) for job in jobs)
        assert told.spans == 5 * 2
        assert not feed._stream.segments  # pyright: ignore[reportPrivateUsage]
        assert not feed._stream.handovers  # pyright: ignore[reportPrivateUsage]


def test_a_worker_that_hangs_does_not_outlive_the_end(package: Package) -> None:
    options = Options(engine="null,fake:null+hang=1,null", threads=1, policy=POLICY)
    with feeding(setup_of(package, executor="processes", options=options, max_batch=1)) as (feed, _):
        job, workers = feed.submit(example()), psutil.Process().children()
        until(lambda: feed.underway == 1)
        os.kill(workers[0].pid, signal.SIGSTOP)  # notices nothing at all
        assert not feed.close(0.2)
        with pytest.raises(RunError, match="ended before this request was answered"):
            job.future.result(5)
        assert_gone(worker.pid for worker in workers)
        assert not feed.ready.is_set()


def test_an_executor_that_breaks_is_replaced_and_nothing_is_lost(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, broken = InProcess.run, [3]

    def sometimes(self: InProcess, requests: Any) -> Iterator[Any]:
        for answer in run(self, requests):
            if len(answer.outputs["y"]) == 1 and broken[0]:
                broken[0] -= 1
                raise RuntimeError("the floor fell in")
            yield answer

    monkeypatch.setattr(InProcess, "run", sometimes)
    requests = [example(1 if number < 1 else 2, seed=number) for number in range(4)]
    with feeding(setup_of(package, max_batch=1, options=Options(engine="picky", threads=1, in_flight=3))) as (feed, _):
        jobs = [feed.submit(values) for values in requests]
        results = [job.future.exception(20) for job in jobs]
    assert [type(error) for error in results[1:]] == [type(None)] * 3
    assert isinstance(results[0], RunError)


def test_what_does_not_fit_is_refused_before_it_waits(package: Package) -> None:
    with feeding(setup_of(package)) as (feed, _):
        with pytest.raises(InterfaceMismatchError, match="another shape"):
            feed.submit({**example(2), "x": np.zeros((2, 5), np.float32)})
        assert feed.waiting == 0


def test_a_reload_changes_the_engine_between_two_requests(package: Package) -> None:
    with feeding(setup_of(package, max_batch=1)) as (feed, told):
        first = feed.submit(example(2)).future.result(20).outputs["y"].tobytes()
        feed.reload(setup_of(package, max_batch=1, options=Options(engine="null", threads=1, policy=POLICY)), room=9)
        after = _later(feed, lambda found: found != first)
        assert after == run_package(package, example(2), save=False).outputs["y"].tobytes()
        assert told.errors == []


def test_a_reload_that_cannot_start_leaves_it_as_it_was(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    with feeding(setup_of(package, max_batch=1)) as (feed, told):
        feed.reload(setup_of(package, options=Options(engine="abacus", threads=1)), room=9)
        deadline = time.monotonic() + 10
        while not told.errors:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert feed.submit(example()).future.result(20).outputs["y"].tobytes() == expected(package, example())
    assert isinstance(told.errors[0], InputError)
    assert "It goes on as before." in capsys.readouterr().err


def test_a_first_start_that_fails_is_told(package: Package) -> None:
    with feeding(setup_of(package, options=Options(engine="abacus", threads=1))) as (feed, _):
        assert isinstance(feed.error, InputError)
        assert not feed.ready.is_set()


@pytest.mark.parametrize(
    ("engine", "limit", "serves"), [("near", 1e-4, True), ("near", 1e-9, False), ("far", 1e-4, False)]
)
def test_an_engine_that_is_too_far_from_the_exact_one_serves_nothing(
    engine: str, limit: float, serves: bool, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, engine, f"tests.engines:{engine.title()}")
    options = Options(engine=engine, threads=1, policy=POLICY)
    with feeding(setup_of(package, max_batch=1, options=options, max_difference=limit)) as (feed, _):
        assert feed.ready.is_set() == serves
        assert isinstance(feed.error, EngineError) != serves
        if not serves:
            assert "is too far from null's" in str(feed.error)


def test_what_waits_at_the_end_is_answered_and_no_more_is_taken(package: Package) -> None:
    with feeding(setup_of(package, batch_delay_s=60.0)) as (feed, _):
        jobs = [feed.submit(example(1, seed=number)) for number in range(2)]
        assert feed.close(20)
        assert [job.future.result(0).rows for job in jobs] == [2, 2]
        with pytest.raises(BusyError):
            feed.submit(example())


def test_the_governor_holds_batches_back(package: Package) -> None:
    """The bus may carry four such requests a second; the burst is one of them."""
    size = traffic_bytes(package.manifest, {"batch": 1})
    pace = Pace(None, Governor(roof_bytes_per_s=8.0 * size, share=0.5, burst_s=0.05))
    with feeding(setup_of(package, max_batch=1, pace=pace)) as (feed, _):
        start = time.monotonic()
        jobs = [feed.submit(example(1, seed=number)) for number in range(4)]
        for job in jobs:
            job.future.result(20)
        assert time.monotonic() - start >= 0.6


def test_microbatches_grow_with_the_load(package: Package) -> None:
    """50 kB/s carry a few rows a second one by one; sixty at once only where they share the reading of the weights."""
    change_manifest(package, lambda data: [entry.update(weight_bytes=1000) for entry in data["segments"]])
    pace = Pace(None, Governor(roof_bytes_per_s=50e3, share=1.0))
    with feeding(setup_of(open_package(package.path), pace=pace, adaptive=True, batch_delay_s=0.05)) as (feed, told):
        for number in range(3):
            feed.submit(example(1, seed=number)).future.result(20)
        jobs = [feed.submit(example(1, seed=number)) for number in range(60)]
        for job in jobs:
            job.future.result(20)
    assert told.rows[:4] == [1, 1, 1, 1]
    assert max(told.rows) == 4
    assert sum(told.rows) == 63


def _later(feed: Feed, enough: Callable[[bytes], bool]) -> bytes:
    deadline = time.monotonic() + 10
    while True:
        job: Job = feed.submit(example(2))
        found = job.future.result(20).outputs["y"].tobytes()
        if enough(found):
            return found
        assert time.monotonic() < deadline
