"""The tests' own cluster leaves no process behind, whatever the test does, and says so where one had stayed."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from tests.ray_cluster import Cluster, cluster


def stray(made: Cluster) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=made.environment)


def fail(processes: list[subprocess.Popen[bytes]]) -> None:
    with cluster() as made:
        processes.append(stray(made))
        raise RuntimeError("the test's own")


def test_a_failing_test_leaves_nothing() -> None:
    processes = list[subprocess.Popen[bytes]]()
    with pytest.raises(RuntimeError, match="the test's own"):
        fail(processes)
    assert_ended(processes[0])


def test_a_process_that_stayed_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="left behind"), cluster() as made:
        process = stray(made)
    assert_ended(process)


def assert_ended(process: subprocess.Popen[bytes]) -> None:
    assert not psutil.pid_exists(process.pid)
    process.wait()
