"""What an executor on many machines can do: each call obeys one instruction of the schedule."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from queue import Empty, SimpleQueue

import msgspec

from partwise.error_parts import error_of
from partwise.errors import PartwiseError, RunError, WorkerLostError
from partwise.packaging import Package
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.executors.executor import Options, Values
from partwise.runtime.executors.interfaces import Interfaces
from partwise.runtime.packet import Failure, Result, Work, decode_packet, encode_packet, tensor_heads
from partwise.runtime.remote import wire
from partwise.runtime.remote.answers import checked, shifted
from partwise.runtime.remote.crew import Crew
from partwise.runtime.remote.link import Link
from partwise.runtime.remote.members import Change, Members
from partwise.runtime.remote.sources import BlobBook
from partwise.runtime.remote.whereabouts import Whereabouts
from partwise.runtime.route import CALLER
from partwise.runtime.schedule import (
    Compute,
    Divided,
    Event,
    Failed,
    Fault,
    Finished,
    Heard,
    Indivisible,
    Loaded,
    Refused,
)
from partwise.runtime.trace import LoadSpan

__all__ = ["Hands"]

_Come = Change | None | tuple[str, wire.Word, list[memoryview]]


class _Given(msgspec.Struct, frozen=True):
    """A task that a worker has."""

    task: Compute
    sizes: Mapping[str, int]
    sent_s: float


class Hands:
    """Obeys a schedule; see `executors.drive.Hands`."""

    def __init__(self, package: Package, options: Options, members: Members) -> None:
        self._package, self._options, self._members = package, options, members
        self.settings: dict[int, EngineSettings] = {}
        self.fetched: dict[tuple[int, int], wire.Fetched] = {}
        self._interfaces, self._book = Interfaces(package, options.weights), BlobBook(package)
        self._come: SimpleQueue[_Come] = SimpleQueue()
        self._run = secrets.token_hex(16)
        self._woken = False
        self._tasks: dict[int, _Given] = {}
        self._attempts: dict[int, dict[int, int]] = {}
        """Begun so far, by request and stage."""
        self._since_s: dict[tuple[int, int], float] = {}
        """Of loads, by worker and stage: when each began."""
        self._loading = set[tuple[int, int]]()
        """Loads that a worker has not answered: only they have an answer."""
        self._values = Whereabouts()
        self._link = Link(self._hear)
        self.crew = Crew(package, options, self._link, self._forget)

    # Membership

    def report(self, change: Change) -> None:
        """A worker has come or gone; from any thread."""
        self._come.put(change)

    def gather(self, timeout_s: float) -> None:
        """Before the schedule begins: wait so long for a change among the workers."""
        self._next(timeout_s)

    def _forget(self, worker: int) -> None:
        self._loading = {load for load in self._loading if load[0] != worker}
        self._tasks = {ticket: known for ticket, known in self._tasks.items() if known.task.worker != worker}

    # Instructions

    def start(self, worker: int) -> None:
        """Workers start by themselves."""

    def stop(self, worker: int) -> None:
        self.crew.lose(worker, WorkerLostError(f"worker {worker}", "was ended"))
        self._members.restart(worker)

    def load(self, worker: int, stage: int, *, on_cpu: bool) -> None:
        self._interfaces.keeping.load(worker, stage)
        self._since_s[worker, stage] = time.monotonic()
        self._loading.add((worker, stage))
        engine = self._interfaces.engine(self._options, stage, on_cpu=on_cpu)
        threads, weights = self._options.threads, self._options.weights
        self.crew.post(worker, wire.Load(stage, engine, threads, weights, self._interfaces.piece(stage)))

    def unload(self, worker: int, stage: int) -> None:
        self.crew.post(worker, wire.Unload(stage))

    def ping(self, worker: int) -> None:
        self.crew.post(worker, wire.Ping())

    def divide(self, stage: int) -> Divided | Indivisible:
        return self._interfaces.divide(stage)

    def offer(self, request: int, inputs: Values, sizes: dict[str, int]) -> None:  # noqa: ARG002
        if read := {name: inputs[name] for name in self._interfaces.read}:
            self._values.offer(request, read)

    def compute(self, task: Compute, sizes: Mapping[str, int]) -> None:
        self._interfaces.keeping.compute(task)
        given, elsewhere = self._values.find(task.request, self._interfaces.inputs(task.stage))
        sources = tuple(self._source(task.request, stage, names) for stage, names in elsewhere.items())
        attempts = self._attempts.setdefault(task.request, {})
        attempt = attempts[task.stage] = attempts.get(task.stage, -1) + 1
        work = Work(run=self._run, package=self._package.digest, stage=task.stage, request=task.request,
                    attempt=attempt, sizes=dict(sizes), tensors=tensor_heads(given, digests=False))  # fmt: skip
        self._tasks[task.ticket] = _Given(task, sizes, time.monotonic())
        self.crew.post(task.worker, wire.Task(task.ticket, sources), encode_packet(work, given))

    def discard(self, ticket: int) -> None:
        """Nothing comes too late here: who is gone is not heard any more."""

    def collect(self, request: int, stage: int) -> Values:
        return self._values.collect(request, stage)

    def release(self, request: int, sender: int) -> None:
        worker, last = self._values.release(request, sender)
        if last:
            self._attempts.pop(request, None)
        if worker is not None:
            self.crew.post(worker, wire.Drop(request, sender))

    def next(self, timeout_s: float | None) -> Event | None:
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
            if (event := self._next(left_s)) is not None or self._woken:
                self._woken = False
                return event
            self.crew.refuse_loneliness()
            if until_s is not None and time.monotonic() >= until_s:
                return None

    def wake(self) -> None:
        """Let `next` return; from any thread."""
        self._come.put(None)

    def error(self, worker: int, why: str) -> PartwiseError | None:
        return self.crew.errors.find(worker, why)

    def close(self) -> None:
        """Close the links."""
        self._link.close()

    # Answers

    def _hear(self, key: str, frames: list[memoryview]) -> None:
        """On the link's thread: blobs at once, the rest to the schedule."""
        try:
            word, rest = wire.decode(frames)
        except RunError:
            return  # no worker of ours speaks so; its deadline says the rest
        if isinstance(word, wire.Ask):
            self._link.send(key, self._part(word))
        else:
            self._come.put((key, word, rest))

    def _part(self, asked: wire.Ask) -> list[bytes | bytearray | memoryview]:
        found = self._book.part(asked.digest, asked.offset)
        if found is None:
            return wire.encode(wire.NoBlob(asked.digest))
        return wire.encode(wire.Part(asked.digest, asked.offset, found[1]), [found[0]])

    def _next(self, timeout_s: float | None) -> Event | None:
        try:
            come = self._come.get(timeout=timeout_s)
        except Empty:
            return None
        if come is None:
            self._woken = True
            return None
        if not isinstance(come, tuple):
            return self.crew.changed(come)
        number = self.crew.number(come[0])
        return None if number is None else self._event(number, come[1], come[2])

    def _event(self, worker: int, word: wire.Word, frames: list[memoryview]) -> Event | None:
        match word:
            case wire.Done():
                return self._done(worker, word, frames)
            case wire.Pong():
                return Heard(worker)
            case wire.Ready() | wire.Refused() if (worker, word.stage) not in self._loading:
                return None  # what nobody asked for; the schedule would take it for a fault of its own
            case wire.Ready(stage, settings, fetched):
                self._loading.discard((worker, stage))
                self.settings[stage] = settings
                self.fetched[worker, stage] = fetched
                self._note_load(worker, stage)
                return Loaded(worker, stage)
            case wire.Refused():
                self._loading.discard((worker, word.stage))
                return Refused(worker, word.stage, word.fault, self.crew.errors.note(worker, error_of(word, RunError)))
            case wire.Failed(ticket, fault):
                return self._failed(worker, ticket, fault, frames)
            case _:
                return None

    def _given(self, worker: int, ticket: int) -> _Given | None:
        """The task under a ticket, if it is this worker's: who answers another's would put the blame on that one."""
        known = self._tasks.get(ticket)
        if known is None or known.task.worker != worker:
            return None  # its own task has a deadline
        return self._tasks.pop(ticket)

    def _failed(self, worker: int, ticket: int, fault: Fault, frames: list[memoryview]) -> Event | None:
        if self._given(worker, ticket) is None:
            return None
        try:
            packet = decode_packet(frames)[0]
            if not isinstance(packet, Failure):
                raise RunError(f"worker {worker}", "answers what nobody asked")
        except PartwiseError as error:
            return self._lied(worker, ticket, error)
        return Failed(ticket, fault, self.crew.errors.note(worker, error_of(packet, RunError)))

    def _done(self, worker: int, done: wire.Done, frames: list[memoryview]) -> Event | None:
        """A result, which is looked at before it is believed."""
        if (known := self._given(worker, done.ticket)) is None:
            return None
        try:
            packet, values = decode_packet(frames)
            if not isinstance(packet, Result):
                raise RunError(f"worker {worker}", "answers what nobody asked")
            task = known.task
            if (packet.run, packet.package) != (self._run, self._package.digest):
                raise RunError(f"the answer to ticket {done.ticket}", "is of another run")
            checked(self._interfaces, task, known.sizes, done, packet)
        except PartwiseError as error:
            return self._lied(worker, done.ticket, error)
        self._values.keep(task.request, task.stage, worker, (head.name for head in done.heads), values)
        self._trace(worker, done, known.sent_s)
        taken_s, at_most_s = done.segment.end_s - done.segment.start_s, time.monotonic() - known.sent_s
        return Finished(done.ticket, taken_s if 0 <= taken_s <= at_most_s else at_most_s)  # deadlines follow from it

    def _lied(self, worker: int, ticket: int, error: PartwiseError) -> Event:
        return Failed(ticket, Fault.LIED, self.crew.errors.note(worker, error))

    def _trace(self, worker: int, done: wire.Done, sent_s: float) -> None:
        trace = self._options.trace
        if trace is None:
            return
        offset_s = self.crew.offset_s(worker, done.now_s)
        trace.segments.append(shifted(done.segment, offset_s))
        for span in (shifted(span, offset_s) for span in done.handovers):
            trace.handovers.append(msgspec.structs.replace(span, start_s=sent_s) if span.sender == CALLER else span)
        trace.nodes.extend(shifted(span, offset_s) for span in done.nodes)

    def _note_load(self, worker: int, stage: int) -> None:
        began_s = self._since_s.get((worker, stage))
        if self._options.trace and began_s is not None:
            span = LoadSpan(worker=worker, stage=stage, start_s=began_s, end_s=time.monotonic())
            self._options.trace.loads.append(span)

    def _source(self, request: int, stage: int, names: list[str]) -> wire.Source:
        """Who has what a stage sent. Of a worker that has just been lost nobody knows yet: the task will say so."""
        return wire.Source(stage, tuple(names), *self.crew.reach(self._values.worker(request, stage)))
