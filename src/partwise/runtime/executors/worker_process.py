"""Worker processes, seen from their parent: started, listened to, ended."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import site
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import partwise.errors
from partwise.errors import PartwiseError, RunError, WorkerLostError
from partwise.runtime.executors.messages import Channel, Failed, Load, Message, Task

__all__ = ["Crew", "WorkerProcess", "worker_environment"]

_WAITING = "OMP_WAIT_POLICY"
"""OpenMP 5.2, section 21.6: whether waiting threads spin or sleep."""
_GRACE_S = 2.0
"""How long a worker may take to notice that its parent has hung up; it needs a millisecond (assumed margin)."""


class WorkerProcess:
    """`python -m partwise.runtime.worker`, in a process group of its own.

    No part of the user's program runs in it (docs/adr/0005), and an interrupt from the terminal does not reach it:
    the parent gets it, and hangs up.
    """

    def __init__(self, stage: int, memory: Iterable[int]) -> None:
        """Start it, without waiting for anything.

        Args:
            stage: its number.
            memory: file descriptors that it inherits.
        """
        self.stage = stage
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        with theirs:
            command = [sys.executable, "-P", "-m", "partwise.runtime.worker", str(theirs.fileno())]
            # Whatever a library prints goes to stderr: stdout belongs to the parent's results.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=2,
                env=worker_environment(),
                pass_fds=(theirs.fileno(), *memory),
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def lost(self) -> WorkerLostError:
        """What became of a worker that has hung up."""
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return WorkerLostError(f"stage {self.stage}", "its worker stopped answering")
        if code >= 0:
            return WorkerLostError(f"stage {self.stage}", "its worker ended", got=f"exit code {code}")
        name = signal.Signals(-code).name
        hint = "the system may have run out of memory." if name == "SIGKILL" else ""
        return WorkerLostError(f"stage {self.stage}", "its worker was killed", got=f"{name} ({-code})", hint=hint)

    def wait(self) -> None:
        """Wait until it has ended, and make it end if it does not: a stopped process notices nothing else."""
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        finally:
            self._process.kill()
            self._process.wait()


class Crew:
    """All workers of a run."""

    def __init__(self) -> None:
        self._workers = list[WorkerProcess]()
        self._selector = selectors.DefaultSelector()
        self._arrived: deque[tuple[int, Message]] = deque()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids by stage."""
        return tuple(worker.pid for worker in self._workers)

    def start(self, load: Load) -> None:
        """Start the next stage's worker; `Loaded` is its answer."""
        worker = WorkerProcess(load.stage, load.memory.values())
        self._workers.append(worker)
        self._selector.register(worker.channel.connection, selectors.EVENT_READ, worker)
        self.send(load.stage, load)

    def send(self, stage: int, message: Load | Task) -> None:
        """Tell a worker something.

        Raises:
            WorkerLostError: it is gone.
        """
        try:
            self._workers[stage].channel.send(message)
        except WorkerLostError:
            raise self._workers[stage].lost() from None

    def next(self) -> tuple[int, Message]:
        """The next message of any worker, waiting for it, and the worker's stage.

        Raises:
            WorkerLostError: a worker is gone.
            PartwiseError: what a worker reported.
        """
        while not self._arrived:
            self._listen()
        stage, message = self._arrived.popleft()
        if isinstance(message, Failed):
            raise _error_of(message)
        return stage, message

    def stop(self) -> None:
        """Hang up on all workers, and see that they have ended. Safe to call twice."""
        for worker in self._workers:
            worker.channel.close()
        for worker in self._workers:
            worker.wait()
        self._selector.close()

    def _listen(self) -> None:
        for key, _ in self._selector.select():
            worker: WorkerProcess = key.data
            alive = worker.channel.fill()
            self._arrived.extend((worker.stage, message) for message in worker.channel.waiting())
            if not alive and not self._arrived:
                raise worker.lost()


def _error_of(failed: Failed) -> PartwiseError:
    """The error that a worker reported."""
    kind = getattr(partwise.errors, failed.error, RunError) if failed.error in partwise.errors.__all__ else RunError
    return kind(failed.subject, failed.what, expected=failed.expected, got=failed.got, hint=failed.hint)


def worker_environment() -> dict[str, str]:
    """The parent's, with two things added.

    This package must be importable: the parent may have found it by `sys.path` alone. And threads that wait must
    sleep: several stages have more threads together than there are cores, and threads that spin at a barrier keep
    those that work from running (measured: 3 stages of 2 threads on 2 busy cores, 1.1 requests/s spinning, 23.7
    sleeping). The user's own choice stands.
    """
    environment = {_WAITING: "PASSIVE"} | dict(os.environ)
    root = str(Path(partwise.errors.__file__).parents[1])
    if root not in site.getsitepackages():
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
    return environment
