"""A worker on any machine: it loads stages, pulls what they read from whoever has it, computes, and keeps what it made.

Two threads: the link's takes in tasks, asks at once for what they read, and answers others; this one loads and
computes. So the values of the next task travel while the one before it is computed.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from partwise.error_parts import parts_of
from partwise.errors import PackageError, PartwiseError
from partwise.packaging import Package, open_package
from partwise.runtime.engines import Engine, make_engine
from partwise.runtime.faults import as_partwise, fault_of
from partwise.runtime.packet import (
    PACKET_VERSION,
    Failure,
    Frame,
    Result,
    Work,
    encode_packet,
    tensor_heads,
)
from partwise.runtime.remote.blobs import BlobCache, KeptPackage
from partwise.runtime.remote.handshake import Invitation, Statement, manifest_of, own_version
from partwise.runtime.remote.inbox import Inbox, Underway
from partwise.runtime.remote.link import Link
from partwise.runtime.remote.sources import OverLink, open_source
from partwise.runtime.remote.wire import (
    Admit,
    Ask,
    Coming,
    Done,
    Drop,
    Failed,
    Fetched,
    Gone,
    Have,
    Lack,
    Load,
    NoBlob,
    Part,
    Ping,
    Pong,
    Ready,
    Refused,
    Task,
    Unload,
    Want,
    Word,
    decode,
    encode,
)
from partwise.runtime.schedule import Fault
from partwise.runtime.stage import Stage

__all__ = ["Settings", "Worker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a worker's owner decides."""

    cache: Path
    stores: tuple[str, ...] = ()
    """Asked for blobs before the head is."""
    package: str | None = None
    """The only package that it works for, a folder here; it then fetches nothing."""


class Worker:
    """One worker of one run."""

    def __init__(self, invited: Invitation, settings: Settings, *, address: str) -> None:
        """Begin to listen.

        Args:
            invited: by whom, and for what.
            settings: what its owner decides.
            address: to listen on.

        Raises:
            PackageError: its own package, or its cache, cannot be used.
            InputError: a store that is none.
        """
        self._invited, self._settings = invited, settings
        self._own = open_package(settings.package) if settings.package else None
        self._cache = BlobCache(settings.cache)
        self._head = OverLink(lambda digest, offset: self._tell(Ask(digest, offset)))
        self._stores = [open_source(text) for text in settings.stores]
        self._kept: KeptPackage | None = None
        self._stages: dict[int, Stage] = {}
        self._engines: dict[tuple[str, int], Engine] = {}
        self._jobs: SimpleQueue[Load | Unload | Underway | None] = SimpleQueue()
        self._link = Link(self._hear, listen=address, tick=lambda: self._inbox.look_again())
        self._inbox = Inbox(self._link, self._jobs.put, self._fail)
        self._link.admit(invited.key)
        self._thread = threading.Thread(target=self._serve, name="partwise-worker", daemon=True)
        self._thread.start()

    @property
    def statement(self) -> Statement:
        """What it says of itself."""
        assert self._link.endpoint is not None
        return Statement(
            version=own_version(),
            packets=PACKET_VERSION,
            host=socket.gethostname(),
            pid=os.getpid(),
            key=self._link.key,
            endpoint=self._link.endpoint,
            package=None if self._own is None else self._own.digest,
            clock_s=time.monotonic(),
        )

    def close(self) -> None:
        """End it."""
        self._jobs.put(None)
        self._link.close()

    # The link's thread

    def _hear(self, key: str, frames: list[memoryview]) -> None:
        try:
            word, rest = decode(frames)
            if key == self._invited.key:
                self._obey(word, rest)
            else:
                self._converse(key, word, rest)
        except PartwiseError:
            return  # a member that speaks nonsense is not answered: its task's deadline says the rest

    def _obey(self, word: Word, frames: Sequence[Frame]) -> None:
        match word:
            case Load() | Unload():
                self._jobs.put(word)
            case Task():
                self._inbox.begin(word, frames)
            case Drop(request, stage):
                self._inbox.drop(request, stage)
            case Ping():
                self._tell(Pong(time.monotonic()))
            case Admit(key):
                self._link.admit(key)
            case Gone(key):
                self._inbox.lose(key)
            case Part(digest, offset, _):
                self._head.come(digest, offset, bytes(frames[0]))
            case NoBlob(digest):
                self._head.come(digest, 0, None)
            case _:
                pass

    def _converse(self, key: str, word: Word, frames: list[memoryview]) -> None:
        match word:
            case Want(number, request, stage, names):
                self._link.send(key, encode(Coming(number)))
                self._link.send(key, self._inbox.answer(number, request, stage, names))
            case Have(number):
                self._inbox.take(key, number, frames)
            case Lack(number):
                self._inbox.miss(key, number)
            case _:
                pass

    # This thread

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            match job:
                case Load():
                    self._load(job)
                case Unload(stage):
                    self._stages.pop(stage, None)
                case Underway():
                    self._compute(job)

    def _load(self, load: Load) -> None:
        try:
            package, fetched = self._prepare(load)
            load.weights.settle()
            kind = (load.engine, load.threads)
            if kind not in self._engines:
                self._engines[kind] = make_engine(*kind)
            stage = self._stages[load.stage] = self._stage(package, load)
            self._tell(Ready(load.stage, stage.settings, fetched))
        except Exception as error:  # noqa: BLE001 - the worker's loop: the head must learn of every failure
            self._tell(Refused(load.stage, fault_of(error), *parts_of(as_partwise("worker", error))))

    def _stage(self, package: Package, load: Load) -> Stage:
        engine = self._engines[load.engine, load.threads]
        try:
            return Stage(package, load.stage, engine, load.piece, load.weights)
        except PackageError:
            if self._kept is None or not self._kept.heal(load.stage, load.piece):
                raise
            self._kept.prepare(load.stage, load.piece)  # bytes that this disk has lost, once more
            return Stage(package, load.stage, engine, load.piece, load.weights)

    def _prepare(self, load: Load) -> tuple[Package, Fetched]:
        if self._own is not None:
            return self._own, Fetched(0, 0, 0.0)
        if self._kept is None:
            self._kept = KeptPackage(self._cache, manifest_of(self._invited), [*self._stores, self._head])
        return self._kept.package, self._kept.prepare(load.stage, load.piece)

    def _compute(self, known: Underway) -> None:
        work = known.work
        try:
            stage = self._stages[work.stage]
            computed = stage.compute(work.request, known.values, work.sizes, self._invited.probe)
        except Exception as error:  # noqa: BLE001 - the worker's loop: the head must learn of every failure
            self._fail(known.ticket, work, fault_of(error), as_partwise("engine", error))
            return
        package = self._own or (self._kept.package if self._kept else None)
        assert package is not None
        wanted = {output.tensor for output in package.manifest.outputs}
        returned = {name: value for name, value in computed.outputs.items() if name in wanted}
        took_s = computed.segment.end_s - computed.segment.start_s
        result = Result(run=work.run, package=work.package, stage=work.stage, request=work.request,
                        attempt=work.attempt, settings=stage.settings, compute_s=took_s, trace=work.trace,
                        tensors=tensor_heads(returned, digests=False))  # fmt: skip
        self._inbox.keep(result, computed.outputs)
        heads = tensor_heads(computed.outputs, digests=False)
        done = Done(known.ticket, heads, time.monotonic(), computed.segment, tuple(known.handovers), computed.nodes)
        self._tell(done, encode_packet(result, returned))

    def _fail(self, ticket: int, work: Work, fault: Fault, error: PartwiseError) -> None:
        name, subject, what, expected, got, hint = parts_of(error)
        failure = Failure(run=work.run, package=work.package, stage=work.stage, request=work.request,
                          attempt=work.attempt, error=name, subject=subject, what=what, expected=expected, got=got,
                          hint=hint, trace=work.trace)  # fmt: skip
        self._tell(Failed(ticket, fault), encode_packet(failure))

    def _tell(self, word: Word, frames: Sequence[Frame] = ()) -> None:
        self._link.send(self._invited.key, encode(word, frames))
