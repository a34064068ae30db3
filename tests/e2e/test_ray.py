"""Ray for real: one node, and two in network namespaces with a shaped link between them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil
import pytest
from tests.packages import example, small_package
from tests.ray_cluster import Cluster, cluster

from partwise.packaging import Package
from partwise.runtime import Policy, load_run
from partwise.runtime.executors import Options, Values, start_executor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("ray") / "package")


@pytest.fixture(scope="module")
def one_node() -> Iterator[Cluster]:
    with cluster() as made:
        made.node("--workers", "2", "--memory", "1GiB")
        yield made


def stream(count: int) -> list[Values]:
    return [example(batch=1 + number % 3, seed=number) for number in range(count)]


def in_process(package: Package, requests: list[Values]) -> list[bytes]:
    with start_executor("in-process", package, Options(engine="torch", threads=1)) as executor:
        return [_bytes(answer.outputs) for answer in executor.run(requests)]


def _bytes(outputs: Values) -> bytes:
    return b"".join(value.tobytes() for value in outputs.values())


def test_a_killed_actor_costs_no_request_and_changes_no_bit(
    package: Package, one_node: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in one_node.environment.items():
        monkeypatch.setenv(name, value)
    requests = stream(60)
    options = Options(engine="torch", threads=1, address=one_node.address)
    killed = set[int]()

    def deadly() -> Iterator[Values]:
        for number, values in enumerate(requests):
            if number in (15, 40):
                victim = one_node.workers()[0]
                killed.add(victim)
                os.kill(victim, signal.SIGKILL)
            yield values

    with start_executor("ray", package, options) as executor:
        answers = list(executor.run(deadly()))
        lost = [incident for incident in executor.incidents if incident.what == "lost"]
    assert [answer.request for answer in answers] == list(range(60))
    assert [_bytes(answer.outputs) for answer in answers] == in_process(package, requests)
    assert len(killed) == 2
    assert len(lost) == 2


QUICK = Policy(tick_s=0.2, heartbeat_s=6.0, exclude_s=0.2)
"""Quick to notice; the rules themselves are the default ones."""


def survive(package: Package, requests: list[Values], options: Options, harm: Callable[[int], None]) -> Counter[str]:
    """A stream with something done to the workers before each request; what was noticed, by its name."""

    def harmful() -> Iterator[Values]:
        for number, values in enumerate(requests):
            harm(number)
            yield values

    with start_executor("ray", package, options) as executor:
        answers = list(executor.run(harmful()))
        incidents = executor.incidents
    assert [answer.request for answer in answers] == list(range(len(requests)))  # none lost, none answered twice
    assert [_bytes(answer.outputs) for answer in answers] == in_process(package, requests)
    return Counter(incident.what for incident in incidents)


@pytest.fixture
def address(one_node: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in one_node.environment.items():
        monkeypatch.setenv(name, value)
    return one_node.address


def test_a_stopped_worker_is_found_by_its_silence_and_replaced(
    package: Package, one_node: Cluster, address: str
) -> None:
    stopped = list[int]()

    def stop(number: int) -> None:
        if number == 15:
            stopped.append(one_node.workers()[0])
            os.kill(stopped[0], signal.SIGSTOP)

    options = Options(engine="torch", threads=1, address=address, policy=QUICK)
    assert survive(package, stream(60), options, stop)["silent"] >= 1  # more where the machine is busy
    assert len(stopped) == 1
    assert_gone(stopped)


def test_a_worker_that_sends_values_of_another_shape_is_replaced(package: Package, address: str) -> None:
    """Every sixteenth task of the second stage comes out one element too long."""
    options = Options(engine="torch,fake:torch+shape=16,torch", threads=1, address=address, policy=QUICK)
    assert survive(package, stream(40), options, lambda number: None)["lied"] >= 2  # noqa: ARG005


def test_a_marathon_of_kills(package: Package, one_node: Cluster, address: str) -> None:
    chance, killed = Random(5), set[int]()

    def kill(number: int) -> None:
        if number % 25 == 20 and (alive := one_node.workers()):
            killed.add(victim := chance.choice(alive))
            os.kill(victim, signal.SIGKILL)

    options = Options(engine="torch", threads=1, address=address, policy=QUICK)
    noticed = survive(package, stream(300), options, kill)
    assert len(killed) >= 10
    assert len(killed) - 3 <= noticed["lost"] <= len(killed)  # who dies before it was let in is not missed


def assert_gone(pids: list[int]) -> None:
    deadline_s = time.monotonic() + 30
    while alive := [pid for pid in pids if psutil.pid_exists(pid)]:
        assert time.monotonic() < deadline_s, f"still there: {alive}"
        time.sleep(0.1)


def run(cluster: Cluster, package: Package, out: Path, *words: str, inside: tuple[str, ...] = ()) -> Any:
    """`partwise run` as a user does."""
    return subprocess.run(
        [*inside, sys.executable, "-m", "partwise.cli", "run", str(package.path), "--executor", "ray",
         "--run-dir", str(out), "--address", cluster.address, "--threads", "1", *words],
        capture_output=True, text=True, env=cluster.environment, timeout=200,
    )  # fmt: skip


def test_the_command_and_a_wrong_token(
    package: Package, one_node: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "x.npz", **example())
    done = run(one_node, package, tmp_path, "--input", str(tmp_path / "x.npz"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["executor"] == "ray"
    (found,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert _bytes(load_run(found).outputs) == in_process(package, [example()])[0]
    (tmp_path / "token").write_text("0" * 64)
    monkeypatch.setitem(one_node.environment, "RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    refused = run(one_node, package, tmp_path)
    assert refused.returncode == 6, refused.stderr
    assert "token" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Two network namespaces, 10.77.0.1 and 10.77.0.2, 100 Mbit/s between them."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None:
        pytest.skip("network namespaces want root, ip and tc")
    names = (f"pwa{os.getpid()}", f"pwb{os.getpid()}")
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "pwv0", "netns", names[0], "type", "veth", "peer", "name", "pwv0", "netns", names[1])
        for name, address in zip(names, ("10.77.0.1", "10.77.0.2"), strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "pwv0")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "pwv0", "up")
            shape = "rate 100mbit burst 64kb latency 200ms"
            subprocess.run(["tc", "-n", name, "qdisc", "add", "dev", "pwv0", "root", "tbf", *shape.split()], check=True)
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def test_two_nodes_in_two_network_namespaces(package: Package, namespaces: tuple[str, str], tmp_path: Path) -> None:
    here, there = (("ip", "netns", "exec", name) for name in namespaces)
    np.savez(tmp_path / "x.npz", **example())
    with cluster() as made:
        made.node("--host", "10.77.0.1", "--max-layers", "2", inside=here)
        made.node("--host", "10.77.0.2", "--max-layers", "2", "--cache", str(tmp_path / "kept"), inside=there)
        done = run(made, package, tmp_path, "--input", str(tmp_path / "x.npz"), "--json", inside=here)
        assert done.returncode == 0, done.stderr
    (found,) = [path for path in tmp_path.glob("run_*") if path.is_dir()]
    assert _bytes(load_run(found).outputs) == in_process(package, [example()])[0]
    assert [*(tmp_path / "kept" / "blobs" / "sha256").iterdir()], "the other machine computed nothing"
