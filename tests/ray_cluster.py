"""Ray clusters for tests, of one node or several: started by `partwise worker`, and gone afterwards, come what may."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

__all__ = ["Cluster", "cluster"]

_MARK = "PARTWISE_TEST_CLUSTER"
_PORT = 6390


class Cluster:
    """Nodes, and commands that belong to them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, secrets.token_hex(8)
        self.address = ""
        self.environment = dict(os.environ) | {
            _MARK: self.mark,
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "RAY_AUTH_MODE": "token",
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        self._nodes = list[subprocess.Popen[str]]()

    def node(self, *words: str, inside: Sequence[str] = ()) -> dict[str, object]:
        """Start a node; what it says of itself."""
        place = ["--join", self.address] if self.address else ["--head", "--port", str(_PORT)]
        place += [] if self.address else ["--temp-dir", str(self.folder / "ray")]
        process = subprocess.Popen(
            [*inside, sys.executable, "-m", "partwise.cli", "worker", *place, *words, "--json"],
            stdout=subprocess.PIPE, text=True, env=self.environment,
        )  # fmt: skip
        self._nodes.append(process)
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told, f"the node ended with {process.wait()}"
        while not told.rstrip().endswith("}") or told.count("{") != told.count("}"):
            told += process.stdout.readline()
        found = json.loads(told)
        self.address = self.address or found["address"]
        return found

    def end_node(self, number: int, signal_: int = signal.SIGTERM) -> int:
        """Send a node a signal, and wait for its end."""
        self._nodes[number].send_signal(signal_)
        return self._nodes[number].wait(60)

    def workers(self) -> list[int]:
        """The processes that compute now, by Ray's name for an actor's process."""
        return [p.pid for p in self.processes() if "RayWorker" in "".join(_quiet(p.cmdline) or [])]

    def processes(self) -> list[psutil.Process]:
        """All processes that were started for this cluster, by anyone."""
        found = list[psutil.Process]()
        for process in psutil.process_iter():
            if process.pid != os.getpid() and (_quiet(process.environ) or {}).get(_MARK) == self.mark:
                found.append(process)
        return found

    def close(self) -> list[str]:
        """End everything; what had not ended when its node had."""
        for node in self._nodes:
            node.terminate()
        for node in self._nodes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.wait(45)
            if node.stdout is not None:
                node.stdout.close()
        left = self.processes()
        names = [" ".join(_quiet(p.cmdline) or [])[:120] for p in left]
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=10)
        return names


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster without nodes; its folder has a short name, for Ray's sockets (107 bytes at most)."""
    with tempfile.TemporaryDirectory(prefix="pw", dir="/tmp", ignore_cleanup_errors=True) as folder:
        made = Cluster(Path(folder))
        try:
            yield made
        finally:
            left = made.close()
        assert not left, f"left behind: {left}"


def _quiet(read):  # type: ignore[no-untyped-def]
    try:
        return read()
    except (psutil.Error, OSError):
        return None
