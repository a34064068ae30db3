"""Proving workers seen from a test: found by their command line, killed at random moments."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from partwise.extras import require

__all__ = ["Killer", "exact_model", "killing", "proving_workers", "wait_for_end"]

_MODULE = b"partwise.verification.zk.workers.process"
_CALL = b"ezkl_child"


def proving_workers(parent: int, module: bytes = _MODULE) -> list[int]:
    """Process ids of the workers that a process has, or of its children that run another module."""
    found = list[int]()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(status[1]) == parent and module in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return sorted(found)


class Killer:
    """Ends workers of a process while their prover's call runs: at a random moment of it, until none are left to kill.

    Paced by the work, not by the clock: a faster machine is hit as often.
    """

    def __init__(self, parent: int, kills: int, into_s: float, seed: int = 0) -> None:
        self.parent, self.left, self.killed = parent, kills, list[int]()
        self._into_s, self._chance = into_s, np.random.default_rng(seed)
        self._over = threading.Event()

    def run(self) -> None:
        while self.left and not self._over.wait(0.01):
            workers = self._at_work()
            if workers and not self._over.wait(float(self._chance.uniform(0, self._into_s))):
                victim = int(self._chance.choice(workers))
                if victim in self._at_work():  # its call may have ended meanwhile, and the whole run with it
                    self._kill(victim)

    def _at_work(self) -> list[int]:
        """Whom to kill: who was killed already may take its time to be gone."""
        left = [worker for worker in proving_workers(self.parent) if worker not in self.killed]
        return [worker for worker in left if proving_workers(worker, _CALL)]

    def _kill(self, victim: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.killed.append(victim)
            self.left -= 1

    def stop(self) -> None:
        self._over.set()


@contextmanager
def killing(parent: int, kills: int, into_s: float = 0.15, seed: int = 0) -> Generator[Killer]:
    """Kill at random moments while the block runs."""
    killer = Killer(parent, kills, into_s, seed)
    thread = threading.Thread(target=killer.run)
    thread.start()
    try:
        yield killer
    finally:
        killer.stop()
        thread.join(30)


def exact_model(path: Path, layers: int) -> Path:
    """Products by small whole numbers, one after the other: nothing is rounded, wherever it is cut."""
    onnx = require("onnx")
    names = ["x", *(f"t{number}" for number in range(1, layers)), "y"]
    lines = [f"m{n} = MatMul ({names[n]}, w{n})\n{names[n + 1]} = Relu (m{n})\n" for n in range(layers)]
    graph = f"g (float[1,4] x) => (float[1,4] y) {{ {''.join(lines)} }}"
    model = require("onnx.parser").parse_model(f'<ir_version: 8, opset_import: ["": 13]>{graph}')
    noise = np.random.default_rng(0)
    for number in range(layers):
        weight = noise.integers(-1, 2, (4, 4)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, f"w{number}"))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def wait_for_end(pid: int, limit_s: float = 10.0) -> None:
    """Wait until a process has ended."""
    end = time.monotonic() + limit_s
    while (stat := Path(f"/proc/{pid}/stat")).exists():
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return
        assert time.monotonic() < end, f"process {pid} lives on"
        time.sleep(0.05)
