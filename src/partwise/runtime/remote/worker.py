"""A worker on any machine: it loads stages, pulls what they read from whoever has it, computes, and keeps what it made.

Two threads: the link's takes in tasks, asks at once for what they read, and answers others; this one loads and
computes. So the values of the next task travel while the one before it is computed.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import msgspec
import numpy as np

import partwise.errors
from partwise.errors import PackageError, PartwiseError, RunError
from partwise.packaging import Package, open_package
from partwise.runtime.engines import Engine, make_engine
from partwise.runtime.faults import as_partwise, fault_of
from partwise.runtime.packet import (
    PACKET_VERSION,
    Failure,
    Frame,
    Result,
    Work,
    decode_packet,
    encode_packet,
    tensor_heads,
)
from partwise.runtime.remote.blobs import BlobCache, KeptPackage
from partwise.runtime.remote.handshake import Invitation, Statement, manifest_of, own_version
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
    Source,
    Task,
    Unload,
    Want,
    Word,
    decode,
    encode,
)
from partwise.runtime.route import CALLER
from partwise.runtime.schedule import Fault
from partwise.runtime.stage import Stage
from partwise.runtime.trace import HandoverSpan

__all__ = ["Settings", "Worker"]

_RETRY_S = 2.0
"""After which a question that nobody took is asked again, over a new connection: a listener that has not been told of
this worker yet turns it away for good (libzmq does not try again)."""
_TRIES = 5
_PATIENCE_S = 60.0
"""How long another worker may say nothing while it owes values (assumed: 64 MB over 10 Mbit/s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a worker's owner decides."""

    cache: Path
    stores: tuple[str, ...] = ()
    """Asked for blobs before the head is."""
    package: str | None = None
    """The only package that it works for, a folder here; it then fetches nothing."""


@dataclass(slots=True)
class _Underway:
    """A task that waits for values."""

    ticket: int
    work: Work
    values: dict[str, np.ndarray]
    missing: dict[int, tuple[Source, float]] = field(default_factory=dict[int, "tuple[Source, float]"])
    """By the number of the question: whom, and when it was asked [s]."""
    handovers: list[HandoverSpan] = field(default_factory=list[HandoverSpan])
    tries: int = 0
    """Connections that were made anew for it."""


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
        self._values: dict[tuple[int, int], Mapping[str, np.ndarray]] = {}
        self._results: dict[tuple[int, int], Result] = {}
        self._underway: dict[int, _Underway] = {}
        """By ticket; only the link's thread touches it."""
        self._asked: dict[int, int] = {}
        """Tickets by the number of a question."""
        self._questions = 0
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Load | Unload | _Underway | None] = SimpleQueue()
        self._link = Link(self._hear, listen=address, tick=self._look_again)
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
                self._begin(word, frames)
            case Drop(request, stage):
                with self._lock:
                    self._values.pop((request, stage), None)
                    self._results.pop((request, stage), None)
            case Ping():
                self._tell(Pong(time.monotonic()))
            case Admit(key):
                self._link.admit(key)
            case Gone(key):
                self._lose(key)
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
                self._link.send(key, self._answer(number, request, stage, names))
            case Have(number):
                self._take(number, frames)
            case Lack(number):
                self._miss(number)
            case _:
                pass

    def _begin(self, task: Task, frames: Sequence[Frame]) -> None:
        """Ask for all that a task reads; it is computed once everything is here."""
        start_s = time.monotonic()
        work, values = decode_packet(frames)
        if not isinstance(work, Work):
            raise RunError("a task", "came without its work")
        known = self._underway[task.ticket] = _Underway(task.ticket, work, dict(values))
        if values:
            known.handovers.append(_span(work, CALLER, values, start_s, start_s))
        for source in task.sources:
            if not source.key:
                self._give_up(known, "what it reads is gone with the worker that made it")
                return
            if source.key == self._link.key:
                with self._lock:
                    held = self._values.get((work.request, source.stage))
                if held is None:
                    self._give_up(known, "its own values are gone")
                    return
                own = {name: held[name] for name in source.names}
                known.values.update(own)
                now_s = time.monotonic()
                known.handovers.append(_span(work, source.stage, own, now_s, now_s, now_s))
                continue
            number, self._questions = self._questions, self._questions + 1
            known.missing[number] = source, time.monotonic()
            self._asked[number] = task.ticket
            self._link.connect(source.key, source.endpoint)
            self._want(known, number, source)
        self._go(known)

    def _answer(self, number: int, request: int, stage: int, names: tuple[str, ...]) -> list[Frame]:
        with self._lock:
            held, result = self._values.get((request, stage)), self._results.get((request, stage))
        if held is None or result is None or not held.keys() >= set(names):
            return encode(Lack(number))
        values = {name: held[name] for name in names}
        packet = msgspec.structs.replace(result, tensors=tensor_heads(values, digests=False))
        return encode(Have(number), encode_packet(packet, values))

    def _take(self, number: int, frames: list[memoryview]) -> None:
        known = self._underway.get(self._asked.pop(number, -1))
        if known is None:
            return
        source, asked_s = known.missing.pop(number)
        start_s = time.monotonic()
        _, values = decode_packet(frames)
        known.values.update(values)
        known.handovers.append(_span(known.work, source.stage, values, asked_s, start_s))
        self._go(known)

    def _miss(self, number: int) -> None:
        known = self._underway.get(self._asked.pop(number, -1))
        if known is not None:
            self._give_up(known, "what it reads is gone with the worker that made it")

    def _lose(self, key: str) -> None:
        self._link.forget(key)
        for known in [*self._underway.values()]:
            if any(source.key == key for source, _ in known.missing.values()):
                self._give_up(known, "what it reads is gone with the worker that made it")

    def _look_again(self) -> None:
        """Ask once more where a connection was never made; give up on a worker that says nothing for long."""
        now_s = time.monotonic()
        for known in [*self._underway.values()]:
            for number, (source, asked_s) in [*known.missing.items()]:
                heard_s = self._link.heard_s(source.key)
                if heard_s is None and now_s - asked_s > _RETRY_S and known.tries < _TRIES:
                    known.tries += 1
                    self._link.reconnect(source.key, source.endpoint)
                    known.missing[number] = source, now_s
                    self._want(known, number, source)
                elif now_s - max(heard_s or 0.0, asked_s) > _PATIENCE_S:
                    self._drop(known)
                    error = RunError(source.endpoint, f"does not send what it has for {_PATIENCE_S:g} s")
                    self._fail(known.ticket, known.work, Fault.ERROR, error)
                    break

    def _want(self, known: _Underway, number: int, source: Source) -> None:
        self._link.send(source.key, encode(Want(number, known.work.request, source.stage, source.names)))

    def _give_up(self, known: _Underway, why: str) -> None:
        self._drop(known)
        self._fail(known.ticket, known.work, Fault.INPUTS, RunError(f"request {known.work.request}", why))

    def _go(self, known: _Underway) -> None:
        if not known.missing:
            self._drop(known)
            self._jobs.put(known)

    def _drop(self, known: _Underway) -> None:
        self._underway.pop(known.ticket, None)
        for number in known.missing:
            self._asked.pop(number, None)

    # This thread

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            match job:
                case Load():
                    self._load(job)
                case Unload(stage):
                    self._stages.pop(stage, None)
                case _Underway():
                    self._compute(job)

    def _load(self, load: Load) -> None:
        try:
            package, fetched = self._prepare(load)
            kind = (load.engine, load.threads)
            if kind not in self._engines:
                self._engines[kind] = make_engine(*kind)
            stage = self._stages[load.stage] = self._stage(package, load)
            self._tell(Ready(load.stage, stage.settings, fetched))
        except Exception as error:  # noqa: BLE001 - the worker's loop: the head must learn of every failure
            known = as_partwise("worker", error)
            parts = (known.subject, known.what, known.expected, known.got, known.hint)
            self._tell(Refused(load.stage, fault_of(error), _kind(known), *parts))

    def _stage(self, package: Package, load: Load) -> Stage:
        engine = self._engines[load.engine, load.threads]
        try:
            return Stage(package, load.stage, engine, load.piece)
        except PackageError:
            if self._kept is None or not self._kept.heal(load.stage, load.piece):
                raise
            self._kept.prepare(load.stage, load.piece)  # bytes that this disk has lost, once more
            return Stage(package, load.stage, engine, load.piece)

    def _prepare(self, load: Load) -> tuple[Package, Fetched]:
        if self._own is not None:
            return self._own, Fetched(0, 0, 0.0)
        if self._kept is None:
            self._kept = KeptPackage(self._cache, manifest_of(self._invited), [*self._stores, self._head])
        return self._kept.package, self._kept.prepare(load.stage, load.piece)

    def _compute(self, known: _Underway) -> None:
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
        with self._lock:
            self._values[work.request, work.stage] = computed.outputs
            self._results[work.request, work.stage] = result
        heads = tensor_heads(computed.outputs, digests=False)
        done = Done(known.ticket, heads, time.monotonic(), computed.segment, tuple(known.handovers), computed.nodes)
        self._tell(done, encode_packet(result, returned))

    def _fail(self, ticket: int, work: Work, fault: Fault, error: PartwiseError) -> None:
        failure = Failure(run=work.run, package=work.package, stage=work.stage, request=work.request,
                          attempt=work.attempt, error=_kind(error), subject=error.subject, what=error.what,
                          expected=error.expected, got=error.got, hint=error.hint, trace=work.trace)  # fmt: skip
        self._tell(Failed(ticket, fault), encode_packet(failure))

    def _tell(self, word: Word, frames: Sequence[Frame] = ()) -> None:
        self._link.send(self._invited.key, encode(word, frames))


def _span(
    work: Work, sender: int, values: Mapping[str, np.ndarray], start_s: float, copied_s: float, end_s: float = 0.0
) -> HandoverSpan:
    """Values that have been asked for, have come, and have been copied into memory of our own by now."""
    end_s = end_s or time.monotonic()
    return HandoverSpan(
        request=work.request,
        sender=sender,
        receiver=work.stage,
        start_s=start_s,
        end_s=end_s,
        copy_s=end_s - copied_s,
        bytes=sum(value.nbytes for value in values.values()),
        values=len(values),
    )


def _kind(error: PartwiseError) -> str:
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in partwise.errors.__all__)
