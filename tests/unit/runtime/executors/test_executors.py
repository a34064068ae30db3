"""Both executors give the same answers, in order, and end what they started."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from partwise.errors import DigestMismatchError, InputError, InterfaceMismatchError, WorkerLostError
from partwise.packaging import Package, open_package
from partwise.runtime.executors import EXECUTORS, Options, Values
from partwise.runtime.executors.processes import Processes
from partwise.runtime.schedule import Policy
from partwise.runtime.trace import Probe, Trace
from tests.packages import example, small_package
from tests.remote import start_executor

OPTIONS = Options(engine="null", threads=1)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("executors") / "package", "null")


def stream(count: int) -> Iterator[Values]:
    return (example(batch=1 + number % 3, seed=number) for number in range(count))


def none_now(count: int) -> Iterator[Values | None]:
    """A live source, with nothing at hand before each request."""
    for values in stream(count):
        yield None
        yield values
        yield None


def assert_gone(pids: tuple[int, ...]) -> None:
    deadline = time.monotonic() + 10
    while alive := [pid for pid in pids if psutil.pid_exists(pid)]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.02)


def test_executors_agree(package: Package) -> None:
    found: dict[str, list[bytes]] = {}
    for name in EXECUTORS:
        with start_executor(name, package, OPTIONS) as executor:
            assert len(executor.ready()) == 3
            for _ in range(2):  # a second stream on the same executor
                answers = list(executor.run(stream(20)))
            assert [answer.request for answer in answers] == list(range(20))
            assert answers[4].sizes == {"batch": 2}
            found[name] = [answer.outputs["y"].tobytes() for answer in answers]
    first, *others = found.values()
    assert all(other == first for other in others)


@pytest.mark.parametrize("name", EXECUTORS)
def test_a_live_source(package: Package, name: str) -> None:
    with start_executor(name, package, OPTIONS) as executor:
        assert [a.outputs["y"].tobytes() for a in executor.run(none_now(5))] == answers_of(package, 5)


def test_a_trace_holds_every_segment_handover_and_node(package: Package) -> None:
    for name in EXECUTORS:
        trace = Trace()
        options = replace(OPTIONS, trace=trace, probe=Probe(memory=True, nodes=True))
        with start_executor(name, package, options) as executor:
            list(executor.run(stream(2)))
        data = trace.as_data(package="p", executor=name, threads=1)
        assert sorted((s.request, s.stage) for s in trace.segments) == [(r, s) for r in range(2) for s in range(3)]
        sent = {(h.sender, h.receiver, h.values) for h in trace.handovers}
        assert sent == {(-1, 0, 1), (0, 1, 1), (0, 2, 1), (-1, 2, 1), (1, 2, 1)}
        assert {n.node for n in trace.nodes if n.stage == 1} == {"second"}
        assert all((s.peak_bytes or 0) >= 1 << 20 for s in trace.segments)
        assert min(span["start_s"] for span in data["segments"] + data["handovers"]) == 0  # type: ignore[operator]
        loads = {"processes": {(n, n) for n in range(3)}, "ray": {(0, 0), (1, 1), (0, 2)}}
        assert {(load.worker, load.stage) for load in trace.loads} == loads.get(name, set())


def test_an_unknown_executor(package: Package) -> None:
    with pytest.raises(InputError, match="in-process, processes"):
        start_executor("cluster", package, OPTIONS)


def test_progress_is_told(package: Package) -> None:
    told = list[tuple[str, int, int | None]]()
    options = replace(OPTIONS, on_progress=lambda *what: told.append(what))
    with start_executor("processes", package, options) as executor:
        executor.ready()
    assert told[0] == ("start workers", 0, 3)
    assert told[-1] == ("start workers", 3, 3)


def test_workers_end_with_the_block(package: Package) -> None:
    with Processes(package, OPTIONS) as executor:
        pids = executor.pids
        next(executor.run(stream(5)))
    assert_gone(pids)


def test_workers_end_before_they_have_started(package: Package) -> None:
    with Processes(package, OPTIONS) as executor:
        pids = executor.pids
    assert_gone(pids)


def kill_after(executor: Processes, answers: int, worker: int, number: int, count: int) -> Iterator[Values]:
    """A stream in whose middle a worker gets a signal."""
    yield from stream(answers)
    os.kill(executor.pids[worker], number)
    yield from itertools.islice(stream(count), answers, None)


@pytest.mark.parametrize(
    ("worker", "number"), [(0, signal.SIGKILL), (1, signal.SIGKILL), (1, signal.SIGSEGV), (2, signal.SIGKILL)]
)
def test_a_killed_worker_is_replaced(package: Package, worker: int, number: int) -> None:
    expected = answers_of(package, 30)
    with Processes(package, OPTIONS) as executor:
        executor.ready()
        before = executor.pids
        found = [answer.outputs["y"].tobytes() for answer in executor.run(kill_after(executor, 5, worker, number, 30))]
        pids = executor.pids
        assert found == expected
        assert [old == new for old, new in zip(before, pids, strict=True)] == [n != worker for n in range(3)]
        assert [str(incident) for incident in executor.incidents] == [
            f"lost (worker {worker}): worker {worker}: was killed; got {signal.Signals(number).name} ({int(number)})."
            + (" Hint: the system may have run out of memory." if number == signal.SIGKILL else "")
        ]
        assert [a.outputs["y"].tobytes() for a in executor.run(stream(30))] == expected  # and another stream
    assert_gone((*before, *pids))


def test_a_stopped_worker_is_found_and_replaced(package: Package) -> None:
    policy = Policy(tick_s=0.1, heartbeat_s=1.0)
    with Processes(package, replace(OPTIONS, policy=policy)) as executor:
        executor.ready()
        before = executor.pids
        answers = executor.run(kill_after(executor, 5, 1, signal.SIGSTOP, 20))
        assert [answer.outputs["y"].tobytes() for answer in answers] == answers_of(package, 20)
        assert [(i.what, i.worker) for i in executor.incidents] == [("silent", 1)]
    assert_gone(before)


def test_workers_that_die_again_and_again_end_the_run(package: Package) -> None:
    policy = Policy(abandon_after=1, exclude_after=1)
    with Processes(package, replace(OPTIONS, policy=policy)) as executor:
        executor.ready()
        pids = executor.pids
        words = r"worker 1: was killed \(1 attempt, on worker 1\); got SIGKILL \(9\)"
        with pytest.raises(WorkerLostError, match=words):
            list(executor.run(kill_after(executor, 3, 1, signal.SIGKILL, 100)))
    assert_gone(pids)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_gives_the_same(package: Package, workers: int) -> None:
    with Processes(package, replace(OPTIONS, workers=workers, in_flight=4)) as executor:
        assert len(executor.ready()) == 3
        assert len(executor.pids) == workers
        assert [a.outputs["y"].tobytes() for a in executor.run(stream(30))] == answers_of(package, 30)


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_threads_give_the_same(package: Package, workers: int) -> None:
    with start_executor("in-process", package, replace(OPTIONS, workers=workers, in_flight=4)) as executor:
        answers = list(executor.run(stream(30)))
    assert [answer.request for answer in answers] == list(range(30))
    assert [answer.outputs["y"].tobytes() for answer in answers] == answers_of(package, 30)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("partwise-")]


@functools.cache
def answers_of(package: Package, count: int) -> list[bytes]:
    """What one process and one request at a time give."""
    with start_executor("in-process", package, OPTIONS) as executor:
        return [answer.outputs["y"].tobytes() for answer in executor.run(stream(count))]


def test_a_stopped_worker_does_not_outlive_its_parent(package: Package) -> None:
    with Processes(package, OPTIONS) as executor:
        executor.ready()
        pids = executor.pids
        os.kill(pids[2], signal.SIGSTOP)
    assert_gone(pids)


def test_a_workers_error_arrives_as_it_was(tmp_path: Path) -> None:
    package = small_package(tmp_path / "package", "null")
    blob = max((tmp_path / "package/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    weight = package.manifest.segments[1].weights[0].blob.digest.removeprefix("sha256:")
    path = blob.parent / weight
    path.write_bytes(path.read_bytes()[:-4] + b"oops")
    with Processes(package, OPTIONS) as executor:
        pids = executor.pids
        with pytest.raises(DigestMismatchError, match="other bytes than promised") as caught:
            executor.ready()
    assert caught.value.hint
    assert_gone(pids)


def test_a_package_that_changes_under_the_run_is_refused(tmp_path: Path) -> None:
    package = small_package(tmp_path / "package", "null")
    stale = Package(package.path, replace(package.manifest, model="other"))
    with Processes(stale, OPTIONS) as executor, pytest.raises(Exception, match="was changed while it was being run"):
        executor.ready()


@pytest.mark.parametrize("name", EXECUTORS)
def test_a_request_that_does_not_fit_ends_the_stream(package: Package, name: str) -> None:
    requests = [example(), {**example(), "mask": np.zeros(5, bool)}]
    with (
        start_executor(name, package, OPTIONS) as executor,
        pytest.raises(InterfaceMismatchError, match="model input `mask`"),
    ):
        list(executor.run(requests))


def test_a_worker_serves_a_channel(package: Package) -> None:
    """The worker's loop in a thread, where its coverage is seen."""
    import socket

    from partwise.runtime import worker
    from partwise.runtime.executors.messages import Begin, Channel, Done, Failed, Load, Loaded, Task, Unload
    from partwise.runtime.executors.shared_memory import Inbox, Outbox, create_memory

    memory = {-1: create_memory(), 0: create_memory()}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours)
        thread = threading.Thread(target=worker.serve, args=(Channel(theirs),))
        thread.start()
        channel.send(Begin(str(package.path), package.digest, 0, memory, Probe()))
        channel.send(Load(0, "null", 1))
        assert isinstance(channel.receive(), Loaded)
        parcel = Outbox(-1, memory[-1]).write(-1, {"x": example()["x"]})
        channel.send(Task(7, 0, 0, {"batch": 2}, (parcel,), ()))
        done = channel.receive()
        assert isinstance(done, Done)
        assert done.ticket == 7
        assert Inbox(memory[0]).read(done.parcel)["active"].shape == (2, 4)
        channel.send(Task(8, 1, 0, {"batch": 3}, (parcel,), (done.parcel.slot,)))
        failed = channel.receive()
        assert isinstance(failed, Failed)
        assert (failed.ticket, failed.fault, failed.error) == (8, "final", "InterfaceMismatchError")
        channel.send(Task(9, 2, 0, {"batch": 2}, (parcel,), ()))  # it goes on
        assert isinstance(channel.receive(), Done)
        channel.send(Load(1, "abacus", 1))
        refused = channel.receive()
        assert isinstance(refused, Failed)
        assert (refused.stage, refused.ticket, refused.fault) == (1, None, "final")
        channel.send(Unload(0))
        ours.shutdown(socket.SHUT_WR)
        thread.join()
    for descriptor in memory.values():
        os.close(descriptor)


def test_many_requests_do_not_grow_shared_memory(package: Package) -> None:
    with Processes(package, OPTIONS) as executor:
        list(executor.run(stream(30)))
        sizes = [os.fstat(memory).st_size for memory in executor._hands._memory.values()]  # pyright: ignore[reportPrivateUsage]
        list(executor.run(stream(200)))
        assert [os.fstat(m).st_size for m in executor._hands._memory.values()] == sizes  # pyright: ignore[reportPrivateUsage]


def test_the_package_may_be_given_by_a_relative_path(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(package.path.parent)
    with Processes(open_package("package"), OPTIONS) as executor:
        assert len(list(executor.run(stream(1)))) == 1
