"""Waiting in tests: for something to hold, for processes to be gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import psutil

__all__ = ["assert_gone", "until"]

PATIENCE_S = 10


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def assert_gone(pids: Iterable[int]) -> None:
    """Wait until processes have ended."""
    wanted = tuple(pids)
    deadline = time.monotonic() + PATIENCE_S
    while alive := [pid for pid in wanted if psutil.pid_exists(pid)]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.02)
