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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

import partwise.errors
from partwise.errors import RunError, WorkerLostError
from partwise.runtime.executors.messages import DECODER, Channel, Message

__all__ = ["SEGMENTS", "Crew", "Gone", "Kind", "Pulse", "WorkerProcess", "worker_environment"]

_WAITING = "OMP_WAIT_POLICY"
"""OpenMP 5.2, section 21.6: whether waiting threads spin or sleep."""
_GRACE_S = 2.0
"""How long a worker may take to notice that its parent has hung up; it needs a millisecond (assumed margin)."""
_PULSE_BYTES = 64
_LIMITS = "fewer workers need fewer open files (`ulimit -n`) and processes (`ulimit -u`): --workers."


@dataclass(frozen=True, slots=True)
class Pulse:
    """A worker has given a sign of life."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A worker has ended."""

    error: WorkerLostError


Said = TypeVar("Said")


@dataclass(frozen=True, slots=True)
class Kind(Generic[Said]):
    """What a worker's process runs."""

    module: str
    """Run with two sockets as arguments: for messages, and for signs of life."""
    decoder: msgspec.msgpack.Decoder[Said]
    """Of what it says."""


SEGMENTS: Kind[Message] = Kind("partwise.runtime.worker", DECODER)


class WorkerProcess(Generic[Said]):
    """A worker's module, in a process group of its own.

    No part of the user's program runs in it (docs/adr/0005), and an interrupt from the terminal does not reach it:
    the parent gets it, and hangs up.
    """

    def __init__(self, number: int, begin: msgspec.Struct, kind: Kind[Said], inherited: Iterable[int] = ()) -> None:
        """Start it, without waiting for anything.

        Args:
            number: the worker's.
            begin: its first message.
            kind: what it runs.
            inherited: file descriptors.

        Raises:
            RunError: the system does not let it.
        """
        self.number = number
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            try:
                ends = [_pair(ours, theirs) for _ in range(2)]
                given = [their.fileno() for _, their in ends]
                # Whatever a library prints goes to stderr: stdout belongs to the parent's results.
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", kind.module, *map(str, given)],
                    stdin=subprocess.DEVNULL,
                    stdout=2,
                    env=worker_environment(),
                    pass_fds=(*given, *inherited),
                    process_group=0,
                )
            except OSError as error:
                raise RunError(f"worker {number}", f"cannot be started ({error.strerror})", hint=_LIMITS) from None
            ours.pop_all()
        self.channel, self.pulse = Channel(ends[0][0], kind.decoder), ends[1][0]
        self.channel.post(begin)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def ping(self) -> None:
        """Ask for a sign of life; one that answers nothing has had enough of them already."""
        with contextlib.suppress(OSError):
            self.pulse.send(b".", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def hang_up(self) -> None:
        """Let it end by itself."""
        self.channel.close()
        self.pulse.close()

    def lost(self) -> WorkerLostError:
        """What became of a worker that has hung up."""
        subject = f"worker {self.number}"
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return WorkerLostError(subject, "stopped answering")
        if code >= 0:
            return WorkerLostError(subject, "ended", got=f"exit code {code}")
        name = signal.Signals(-code).name
        hint = "the system may have run out of memory." if name == "SIGKILL" else ""
        return WorkerLostError(subject, "was killed", got=f"{name} ({-code})", hint=hint)

    def kill(self) -> None:
        """End it at once."""
        self.hang_up()
        self._process.kill()
        self._process.wait()

    def wait(self) -> None:
        """Wait until it has ended, and make it end if it does not: a stopped process notices nothing else."""
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        finally:
            self._process.kill()
            self._process.wait()


class Crew(Generic[Said]):
    """All workers of an executor. A worker keeps its number when another process takes its place."""

    def __init__(self, kind: Kind[Said]) -> None:
        self._kind = kind
        self._workers: dict[int, WorkerProcess[Said]] = {}
        self._selector = selectors.DefaultSelector()
        self._arrived: deque[tuple[int, Said | Pulse | Gone]] = deque()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids by worker, of those that run."""
        return tuple(self._workers[number].pid for number in sorted(self._workers))

    def start(self, number: int, begin: msgspec.Struct, inherited: Iterable[int] = ()) -> None:
        """Start a process for a worker."""
        worker = self._workers[number] = WorkerProcess(number, begin, self._kind, inherited)
        self._selector.register(worker.channel.connection, selectors.EVENT_READ, worker)
        self._selector.register(worker.pulse, selectors.EVENT_READ, worker)

    def post(self, number: int, message: msgspec.Struct) -> None:
        """Tell a worker something, without waiting; of one that is gone, `next` tells."""
        worker = self._workers.get(number)
        if worker is not None:
            worker.channel.post(message)
            self._watch(worker)

    def ping(self, number: int) -> None:
        """Ask a worker for a sign of life."""
        if number in self._workers:
            self._workers[number].ping()

    def dismiss(self, number: int) -> None:
        """End a worker at once; nothing that it said is heard any more."""
        worker = self._workers.pop(number, None)
        if worker is not None:
            self._forget(worker)
            worker.kill()
            self._arrived = deque(item for item in self._arrived if item[0] != number)

    def next(self, timeout_s: float | None) -> tuple[int, Said | Pulse | Gone] | None:
        """What some worker says next, waiting at most so long for it; None where nobody says anything."""
        if not self._arrived:
            self._listen(timeout_s)
        return self._arrived.popleft() if self._arrived else None

    def wake(self) -> None:
        """Let `next` return, from any thread; a bell that is ringing already rings once."""
        with contextlib.suppress(OSError):
            self._rope.send(b"!")

    def stop(self) -> None:
        """Hang up on all workers, and see that they have ended. Safe to call twice."""
        workers = [*self._workers.values()]
        self._workers.clear()
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.wait()
        self._selector.close()
        self._bell.close()
        self._rope.close()

    def _listen(self, timeout_s: float | None) -> None:
        for key, events in self._selector.select(timeout_s):
            if key.fileobj is self._bell:
                self._bell.recv(_PULSE_BYTES)
                continue
            worker: WorkerProcess[Said] = key.data
            if self._workers.get(worker.number) is not worker:
                continue  # it was found to be gone a moment ago
            if events & selectors.EVENT_WRITE:
                worker.channel.flush()
                self._watch(worker)
            if events & selectors.EVENT_READ:
                self._arrived.extend((worker.number, item) for item in self._heard(worker, key.fileobj))

    def _heard(self, worker: WorkerProcess[Said], source: object) -> Iterator[Said | Pulse | Gone]:
        if source is worker.pulse:
            with contextlib.suppress(OSError):
                if worker.pulse.recv(_PULSE_BYTES):
                    yield Pulse()
                    return
            self._selector.unregister(worker.pulse)  # its other socket says the rest, and what it said before
            return
        alive, error = worker.channel.fill(), None
        try:
            yield from worker.channel.waiting()
        except msgspec.DecodeError as lie:
            alive, error = False, WorkerLostError(f"worker {worker.number}", f"sent what is no message ({lie})")
        if not alive:
            self._forget(worker)
            del self._workers[worker.number]
            error = error or worker.lost()
            worker.kill()
            yield Gone(error)

    def _watch(self, worker: WorkerProcess[Said]) -> None:
        """Listen for room as long as something is unsent."""
        wanted = selectors.EVENT_READ | (0 if worker.channel.is_sent else selectors.EVENT_WRITE)
        if self._selector.get_key(worker.channel.connection).events != wanted:
            self._selector.modify(worker.channel.connection, wanted, worker)

    def _forget(self, worker: WorkerProcess[Said]) -> None:
        for source in (worker.channel.connection, worker.pulse):
            with contextlib.suppress(KeyError):
                self._selector.unregister(source)


def _pair(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two ends, each of which is closed with its stack."""
    first, second = socket.socketpair()
    return ours.enter_context(first), theirs.enter_context(second)


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
