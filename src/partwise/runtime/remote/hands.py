"""What an executor on many machines can do: each call obeys one instruction of the schedule."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import msgspec
import numpy as np

from partwise.errors import PartwiseError, RunError, WorkerLostError
from partwise.packaging import Package
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.executors.executor import Options, Values
from partwise.runtime.executors.interfaces import Interfaces
from partwise.runtime.packet import Failure, Result, Work, decode_packet, encode_packet, tensor_heads
from partwise.runtime.remote import wire
from partwise.runtime.remote.answers import checked, error_of, shifted
from partwise.runtime.remote.handshake import Invitation, Statement, invitation, refuse_strangers
from partwise.runtime.remote.link import Link
from partwise.runtime.remote.members import Arrived, Change, Departed, Members, Unfit
from partwise.runtime.remote.sources import BlobBook
from partwise.runtime.route import CALLER
from partwise.runtime.schedule import (
    Capacity,
    Compute,
    Divided,
    Event,
    Failed,
    Fault,
    Finished,
    Heard,
    Incident,
    Indivisible,
    Joined,
    Loaded,
    Lost,
    Refused,
    Story,
)
from partwise.runtime.trace import LoadSpan

__all__ = ["Hands"]

_ALONE_S = 120.0
"""How long a run waits for the first worker to come back once all are gone (assumed: a restart by Ray)."""
_Come = Change | None | tuple[str, wire.Word, list[memoryview]]


@dataclass(frozen=True, slots=True)
class _Given:
    """A task that a worker has."""

    task: Compute
    sizes: Mapping[str, int]
    sent_s: float


class Hands:
    """Obeys a schedule; see `executors.drive.Hands`."""

    def __init__(self, package: Package, options: Options, members: Members) -> None:
        self._package, self._options, self._members = package, options, members
        self.settings: dict[int, EngineSettings] = {}
        self.capacities: dict[int, Capacity] = {}
        """Of the workers that have arrived, by number; those that are gone stay."""
        self.refused: dict[int, PartwiseError] = {}
        self.fetched: dict[tuple[int, int], wire.Fetched] = {}
        self._interfaces, self._book = Interfaces(package), BlobBook(package)
        self._come: SimpleQueue[_Come] = SimpleQueue()
        self._run = secrets.token_hex(16)
        self._stated: dict[int, Statement] = {}
        """Of the workers that are up."""
        self._numbers: dict[str, int] = {}
        self._clocks: dict[int, float] = {}
        """Head's clock minus the worker's, at most [s]."""
        self._woken = False
        self._alone_s = time.monotonic()
        self._story: Story | None = None
        self._errors: dict[int, PartwiseError] = {}
        self._tasks: dict[int, _Given] = {}
        self._attempts: dict[tuple[int, int], int] = {}
        self._since_s: dict[tuple[int, int], float] = {}
        """Of loads, by worker and stage: when each began."""
        self._inputs: dict[int, dict[str, np.ndarray]] = {}
        self._places: dict[tuple[int, int], int] = {}
        """The worker that has what a stage sent for a request."""
        self._senders: dict[int, dict[str, int]] = {}
        """By request: the stage that sent each tensor."""
        self._returned: dict[tuple[int, int], Values] = {}
        self._link = Link(self._hear)

    # Membership

    def invite(self, number: int) -> Invitation:
        """What a worker is told when it is started."""
        return invitation(self._package, number, self._link.key, self._options.probe)

    def report(self, change: Change) -> None:
        """A worker has come or gone; from any thread."""
        self._come.put(change)

    def gather(self, timeout_s: float) -> None:
        """Before the schedule begins: wait so long for a change among the workers."""
        self._next(timeout_s)

    def begun(self, story: Story) -> None:
        """The schedule has begun: what goes wrong among the workers belongs to its story."""
        self._story = story
        for number, error in self.refused.items():
            story.note(Incident(what="refused", worker=number, why=str(error)))

    def _changed(self, change: Change) -> Event | None:
        match change:
            case Arrived(number, stated, capacity):
                return self._arrived(number, stated, capacity)
            case Departed(number, why):
                return self._departed(number, WorkerLostError(f"worker {number}", "is gone", got=why))
            case Unfit(number, error):
                return self._refuse(number, error)

    def _arrived(self, number: int, stated: Statement, capacity: Capacity) -> Event | None:
        try:
            refuse_strangers(self.invite(number), stated)
        except PartwiseError as error:
            return self._refuse(number, error)
        limits = self._options.capacity
        fields = ("bytes", "parameters", "layers")
        least = {f: min((v for v in (getattr(capacity, f), getattr(limits, f)) if v is not None), default=None)
                 for f in fields}  # fmt: skip
        if number in self._stated:
            self._departed(number, WorkerLostError(f"worker {number}", "started anew"))
        self._stated[number], self._numbers[stated.key] = stated, number
        self._clocks[number] = float("inf")
        self.capacities[number] = Capacity(**least)
        self._link.connect(stated.key, stated.endpoint)
        for other in self._stated.values():
            if other.key != stated.key:
                self._post(number, wire.Admit(other.key))
                self._link.send(other.key, wire.encode(wire.Admit(stated.key)))
        return Joined(number, self.capacities[number]) if self._story is not None else None

    def _departed(self, number: int, error: PartwiseError) -> Event | None:
        stated = self._stated.pop(number, None)
        if stated is None:
            return None
        self._errors[number] = error
        del self._numbers[stated.key]
        self._link.forget(stated.key)
        self._tasks = {ticket: known for ticket, known in self._tasks.items() if known.task.worker != number}
        for other in self._stated.values():
            self._link.send(other.key, wire.encode(wire.Gone(stated.key)))
        if self._story is None:
            del self.capacities[number]
            return None
        self._alone_s = time.monotonic()
        return Lost(number, str(error))

    def _refuse(self, number: int, error: PartwiseError) -> None:
        self.refused[number] = error
        if self._story is not None:
            self._story.note(Incident(what="refused", worker=number, why=str(error)))

    # Instructions

    def start(self, worker: int) -> None:
        """Workers start by themselves."""

    def stop(self, worker: int) -> None:
        self._departed(worker, WorkerLostError(f"worker {worker}", "was ended"))
        self._members.restart(worker)

    def load(self, worker: int, stage: int, *, on_cpu: bool) -> None:
        self._since_s[worker, stage] = time.monotonic()
        engine = self._interfaces.engine(self._options, stage, on_cpu=on_cpu)
        self._post(worker, wire.Load(stage, engine, self._options.threads, self._interfaces.piece(stage)))

    def unload(self, worker: int, stage: int) -> None:
        self._post(worker, wire.Unload(stage))

    def ping(self, worker: int) -> None:
        self._post(worker, wire.Ping())

    def divide(self, stage: int) -> Divided | Indivisible:
        return self._interfaces.divide(stage)

    def offer(self, request: int, inputs: Values, sizes: dict[str, int]) -> None:  # noqa: ARG002
        if read := {name: inputs[name] for name in self._interfaces.read}:
            self._inputs[request] = read
            self._senders.setdefault(request, {}).update(dict.fromkeys(read, CALLER))

    def compute(self, task: Compute, sizes: Mapping[str, int]) -> None:
        wanted: dict[int, list[str]] = {}
        for name in self._interfaces.inputs(task.stage):
            wanted.setdefault(self._senders[task.request][name], []).append(name)
        given = {name: self._inputs[task.request][name] for name in wanted.pop(CALLER, [])}
        sources = tuple(self._source(task.request, stage, names) for stage, names in wanted.items())
        attempt = self._attempts.get((task.request, task.stage), -1) + 1
        self._attempts[task.request, task.stage] = attempt
        work = Work(run=self._run, package=self._package.digest, stage=task.stage, request=task.request,
                    attempt=attempt, sizes=dict(sizes), tensors=tensor_heads(given, digests=False))  # fmt: skip
        self._tasks[task.ticket] = _Given(task, sizes, time.monotonic())
        self._post(task.worker, wire.Task(task.ticket, sources), encode_packet(work, given))

    def discard(self, ticket: int) -> None:
        """Nothing comes too late here: who is gone is not heard any more."""

    def collect(self, request: int, stage: int) -> Values:
        return self._returned.pop((request, stage), {})

    def release(self, request: int, sender: int) -> None:
        self._senders[request] = {name: s for name, s in self._senders[request].items() if s != sender}
        if not self._senders[request]:
            del self._senders[request]
            for key in [key for key in self._attempts if key[0] == request]:
                del self._attempts[key]
        if sender == CALLER:
            self._inputs.pop(request, None)
            return
        self._returned.pop((request, sender), None)
        worker = self._places.pop((request, sender), None)
        if worker is not None:
            self._post(worker, wire.Drop(request, sender))

    def next(self, timeout_s: float | None) -> Event | None:
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
            if (event := self._next(left_s)) is not None or self._woken:
                self._woken = False
                return event
            if not self._stated and time.monotonic() - self._alone_s > _ALONE_S:
                raise next(iter(self._errors.values()), RunError("the run", f"had no worker for {_ALONE_S:g} s"))
            if until_s is not None and time.monotonic() >= until_s:
                return None

    def wake(self) -> None:
        """Let `next` return; from any thread."""
        self._come.put(None)

    def error(self, worker: int) -> PartwiseError | None:
        return self._errors.get(worker)

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
            return self._changed(come)
        number = self._numbers.get(come[0])
        return None if number is None else self._event(number, come[1], come[2])

    def _event(self, worker: int, word: wire.Word, frames: list[memoryview]) -> Event | None:
        match word:
            case wire.Done():
                return self._done(worker, word, frames)
            case wire.Pong():
                return Heard(worker)
            case wire.Ready(stage, settings, fetched):
                self.settings[stage] = settings
                self.fetched[worker, stage] = fetched
                self._note_load(worker, stage)
                return Loaded(worker, stage)
            case wire.Refused():
                error = self._errors[worker] = error_of(word)
                return Refused(worker, word.stage, word.fault, str(error))
            case wire.Failed(ticket, fault):
                return self._failed(worker, ticket, fault, frames)
            case _:
                return None

    def _failed(self, worker: int, ticket: int, fault: Fault, frames: list[memoryview]) -> Event:
        known = self._tasks.pop(ticket, None)
        packet = decode_packet(frames)[0]
        if known is None or known.task.worker != worker or not isinstance(packet, Failure):
            return self._lied(worker, ticket, RunError(f"worker {worker}", "answers what nobody asked"))
        error = self._errors[worker] = error_of(packet)
        return Failed(ticket, fault, str(error))

    def _done(self, worker: int, done: wire.Done, frames: list[memoryview]) -> Event:
        """A result, which is looked at before it is believed."""
        known = self._tasks.pop(done.ticket, None)
        try:
            packet, values = decode_packet(frames)
            if known is None or known.task.worker != worker or not isinstance(packet, Result):
                raise RunError(f"worker {worker}", "answers what nobody asked")
            task = known.task
            checked(self._interfaces, task, known.sizes, done, packet)
        except PartwiseError as error:
            return self._lied(worker, done.ticket, error)
        self._places[task.request, task.stage] = worker
        self._senders.setdefault(task.request, {}).update(dict.fromkeys((h.name for h in done.heads), task.stage))
        self._returned[task.request, task.stage] = values
        self._trace(worker, done, known.sent_s)
        return Finished(done.ticket, done.segment.end_s - done.segment.start_s)

    def _lied(self, worker: int, ticket: int, error: PartwiseError) -> Event:
        self._errors[worker] = error
        return Failed(ticket, Fault.LIED, str(error))

    def _trace(self, worker: int, done: wire.Done, sent_s: float) -> None:
        trace = self._options.trace
        if trace is None:
            return
        offset_s = self._clocks[worker] = min(self._clocks[worker], time.monotonic() - done.now_s)
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
        stated = self._stated.get(self._places.get((request, stage), CALLER))
        key, endpoint = (stated.key, stated.endpoint) if stated is not None else ("", "")
        return wire.Source(stage, tuple(names), key, endpoint)

    def _post(self, worker: int, word: wire.Word, frames: list[bytes | bytearray | memoryview] | None = None) -> None:
        stated = self._stated.get(worker)
        if stated is not None:
            self._link.send(stated.key, wire.encode(word, frames or []))
