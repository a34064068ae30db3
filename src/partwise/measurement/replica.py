"""Uncut models, each in a process of its own that computes as long as it is told (`replica_process`)."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Generator, Mapping

from partwise.errors import RunError
from partwise.packaging import Package
from partwise.runtime.executors.worker_process import worker_environment

__all__ = ["Replica", "replicas"]


class Replica:
    """One process, seen from its parent."""

    def __init__(self, package: Package, engine: str, threads: int, sizes: Mapping[str, int]) -> None:
        words = [str(package.path.resolve()), engine, str(threads), json.dumps(dict(sizes))]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "partwise.measurement.replica_process", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=worker_environment(), text=True,
        )  # fmt: skip

    def ready(self) -> None:
        """Wait until it is loaded and warm.

        Raises:
            RunError: it ended.
        """
        self._answer()

    def begin(self, seconds: float) -> None:
        """Compute for so long; `per_s` waits for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def per_s(self) -> float:
        """Requests a second of what was begun last."""
        return float(self._answer())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RunError("uncut replica", "ended before it answered", got=f"exit code {self._process.wait()}",
                           hint="its error stands above.")  # fmt: skip
        return line


@contextlib.contextmanager
def replicas(
    package: Package, engine: str, threads: tuple[int, ...], sizes: Mapping[str, int]
) -> Generator[tuple[Replica, ...]]:
    """Processes with so many threads each, loaded and warm; ended when the block is left."""
    made = list[Replica]()
    try:
        made.extend(Replica(package, engine, count, sizes) for count in threads)
        for replica in made:
            replica.ready()
        yield tuple(made)
    finally:
        for replica in made:
            replica.close()
