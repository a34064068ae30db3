"""The tests' own cluster leaves no process behind, whatever the test does, and says so where one had stayed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.ray_cluster import Cluster, cluster


def stray(made: Cluster) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=made.environment)


def test_a_failing_test_leaves_nothing() -> None:
    with pytest.raises(RuntimeError, match="the test's own"), cluster() as made:
        process = stray(made)
        raise RuntimeError("the test's own")
    assert process.wait(10) == -9


def test_a_process_that_stayed_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="left behind"), cluster() as made:
        process = stray(made)
    assert process.wait(10) == -9
