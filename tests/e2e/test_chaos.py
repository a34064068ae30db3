"""Workers killed and stopped at random, over and over: every answer right, to the bit, and nothing left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import psutil
import pytest
from tests.packages import example, small_package, stream
from tests.waiting import assert_gone

from partwise.packaging import Package
from partwise.runtime.executors import Options, Values, start_executor
from partwise.runtime.executors.processes import Processes
from partwise.runtime.schedule import Policy

OPTIONS = Options(engine="null", threads=1)
POLICY = Policy(tick_s=0.1, heartbeat_s=2.0, exclude_s=0.2)
"""Quick to notice; the rules themselves are the default ones."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("chaos") / "package", "null")


def right_answers(package: Package, stream: Iterator[Values], options: Options = OPTIONS) -> list[bytes]:
    with start_executor("in-process", package, options) as executor:
        return [b"".join(v.tobytes() for v in answer.outputs.values()) for answer in executor.run(stream)]


def chaotic(executor: Processes, stream: Iterator[Values], every: int, number: int, seed: int) -> Iterator[Values]:
    """A stream that sends a random worker a signal at every so many requests."""
    chance = Random(seed)
    for count, values in enumerate(stream, start=1):
        if count % every == 0:
            os.kill(chance.choice(executor.pids), number)
        yield values


def survive(
    package: Package, count: int, kills: int, number: int, workers: int, options: Options = OPTIONS
) -> Counter[str]:
    """A stream under fire; what was noticed, by its name."""
    expected = right_answers(package, stream(count), options)
    seen = set[int]()
    with Processes(package, replace(options, policy=POLICY, workers=workers)) as executor:
        executor.ready()
        found = list[bytes]()
        for answer in executor.run(chaotic(executor, stream(count), count // kills, number, seed=5)):
            seen.update(executor.pids)
            assert answer.request == len(found)  # none lost, none answered twice
            found.append(b"".join(value.tobytes() for value in answer.outputs.values()))
    assert found == expected
    assert_gone(seen)
    return Counter(incident.what for incident in executor.incidents)


@pytest.mark.parametrize(
    "workers", [3, pytest.param(2, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
def test_kills(package: Package, workers: int) -> None:
    assert survive(package, 60, 6, signal.SIGKILL, workers)["lost"] == 6


@pytest.mark.slow
def test_stops(package: Package) -> None:
    noticed = survive(package, 40, 2, signal.SIGSTOP, 3)
    assert noticed["silent"] == 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_kills_in_two_thousand_requests(package: Package) -> None:
    assert survive(package, 2000, 200, signal.SIGKILL, 3)["lost"] == 200


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_on_resnet50(tmp_path: Path) -> None:
    """On the real engine, at the same threads: the bits are those of a run that nothing happened to."""
    torch = pytest.importorskip("torch")
    import transformers

    import partwise

    torch.manual_seed(0)
    image = torch.randn(1, 3, 224, 224)
    model = transformers.ResNetForImageClassification(transformers.ResNetConfig()).eval()  # the default is ResNet-50
    graph = partwise.capture(model, {"pixel_values": image})
    package = partwise.cut(model, partwise.plan(graph, stages=2), tmp_path / "package")
    name, chance = graph.inputs[0], np.random.default_rng(1)
    frames = [{name: chance.standard_normal(image.shape, dtype=np.float32)} for _ in range(5)]
    options = Options(engine="torch", threads=1)
    expected = right_answers(package, iter(frames), options)
    with Processes(package, replace(options, policy=replace(POLICY, heartbeat_s=30.0))) as executor:
        executor.ready()
        stream = (frames[number % 5] for number in range(80))
        answers = executor.run(chaotic(executor, stream, 4, signal.SIGKILL, seed=3))
        found = [b"".join(value.tobytes() for value in answer.outputs.values()) for answer in answers]
    assert found == [expected[number % 5] for number in range(80)]
    assert Counter(incident.what for incident in executor.incidents)["lost"] == 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_stays_flat(tmp_path: Path) -> None:
    """20,000 requests of 1 MB: what all processes hold, shared memory included, grows by less than 2 MB in the second
    half."""
    package = small_package(tmp_path / "package", "null")
    values = example(batch=1 << 16)  # 65,536 rows of 4 float32: 1 MiB
    held: dict[int, list[int]] = {9: [], 19: []}
    with Processes(package, OPTIONS) as executor:
        executor.ready()
        for answer in executor.run(values for _ in range(20_000)):
            thousand = answer.request // 1000
            if thousand in held and answer.request % 10 == 0:  # workers hold more or less within a task: the median
                held[thousand].append(sum(map(resident_bytes, (os.getpid(), *executor.pids))))
    before, after = (sorted(found)[len(found) // 2] for found in held.values())
    assert after - before < 2_000_000, (before, after)


def resident_bytes(pid: int) -> int:
    """What a process holds, shared memory included; without mapped files, whose share depends on who else maps them."""
    rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return 1024 * sum(int(rows[key].split()[0]) for key in ("RssAnon", "RssShmem"))


def run_command(package: Package, folder: Path, *more: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "partwise.cli", "run", str(package.path), "--input", str(folder), *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    for number, values in enumerate(stream(200)):
        np.savez(folder / f"{number:03}.npz", **values)
    return folder


def children_of(process: subprocess.Popen[str]) -> set[int]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
        if len(found) >= 3:
            return found
        time.sleep(0.01)
    raise AssertionError("no workers")


def test_a_full_disk(package: Package, frames: Path, tmp_path: Path) -> None:
    """The limit on a file's size stands for it: writing fails in mid-run (coverage, which writes too, is off)."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    process = run_command(package, frames, "--run-dir", str(tmp_path / "run"), preexec_fn=limit, env=unmeasured)
    workers = children_of(process)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3, stderr
    assert "cannot be written (File too large)" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "run").exists()
    assert_gone(workers)


def limited(package: Package, frames: Path, folder: Path, *limits: int, more: tuple[str, ...] = ()) -> tuple[int, str]:
    """Exit code and stderr of a run that may open so many files: softly, and hard."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    process = run_command(package, frames, "--run-dir", str(folder), *more, preexec_fn=limit)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def test_too_few_open_files(package: Package, frames: Path, tmp_path: Path) -> None:
    code, stderr = limited(package, frames, tmp_path / "run", 20, 20)
    assert code == 6
    assert "worker 2: cannot be started (Too many open files)" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "run").exists()


def test_many_requests_under_way_take_more_open_files_than_shells_give(
    package: Package, frames: Path, tmp_path: Path
) -> None:
    code, stderr = limited(package, frames, tmp_path / "run", 64, 4096, more=("--in-flight", "150"))
    assert code == 0, stderr


def test_a_closed_pipe(package: Package, frames: Path, tmp_path: Path) -> None:
    process = run_command(package, frames, "--json", "--run-dir", str(tmp_path / "run"), stdout=subprocess.PIPE)
    workers = children_of(process)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        stderr = process.stderr.read()
    process.wait(60)
    assert "Traceback" not in stderr
    assert_gone(workers)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_is_interrupted(package: Package, frames: Path, tmp_path: Path, number: int) -> None:
    process = run_command(package, frames, "--run-dir", str(tmp_path / "run"),
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))  # fmt: skip
    workers = children_of(process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in stderr
    assert_gone({process.pid, *workers})
    assert not [name for name in os.listdir("/dev/shm") if "partwise" in name]
