"""The values of a worker: those that its tasks wait for, and those that it keeps for others.

All of it happens on the link's thread, except that results are put in by the thread that computes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from partwise.errors import PartwiseError, RunError
from partwise.runtime.packet import Frame, Result, Work, decode_packet, encode_packet, tensor_heads
from partwise.runtime.remote.link import Link
from partwise.runtime.remote.wire import Have, Lack, Source, Task, Want, encode
from partwise.runtime.route import CALLER
from partwise.runtime.schedule import Fault
from partwise.runtime.trace import HandoverSpan

__all__ = ["Inbox", "Underway"]

_RETRY_S = 2.0
"""After which a question that nobody took is asked again, over a new connection: a listener that has not been told of
this worker yet turns it away for good (libzmq does not try again)."""
_TRIES = 5
_PATIENCE_S = 60.0
"""How long another worker may say nothing while it owes values (assumed: 64 MB over 10 Mbit/s)."""


@dataclass(slots=True)
class Underway:
    """A task whose values come in."""

    ticket: int
    work: Work
    values: dict[str, np.ndarray]
    missing: dict[int, tuple[Source, float]] = field(default_factory=dict[int, "tuple[Source, float]"])
    """By the number of the question: whom, and when it was asked [s]."""
    handovers: list[HandoverSpan] = field(default_factory=list[HandoverSpan])
    tries: int = 0
    """Connections that were made anew for it."""


class Inbox:
    """See the module."""

    def __init__(
        self,
        link: Link,
        done: Callable[[Underway], None],
        fail: Callable[[int, Work, Fault, PartwiseError], None],
    ) -> None:
        """Empty.

        Args:
            link: to the other workers.
            done: called once all that a task reads is here.
            fail: called with the ticket, the work and the reason where it will not come.
        """
        self._link, self._done, self._fail = link, done, fail
        self._values: dict[tuple[int, int], tuple[Result, Mapping[str, np.ndarray]]] = {}
        self._underway: dict[int, Underway] = {}
        """By ticket."""
        self._asked: dict[int, int] = {}
        """Tickets by the number of a question."""
        self._questions = 0
        self._lock = threading.Lock()

    def keep(self, result: Result, values: Mapping[str, np.ndarray]) -> None:
        """What a task has made, for whoever wants it."""
        with self._lock:
            self._values[result.request, result.stage] = result, values

    def drop(self, request: int, stage: int) -> None:
        """Nobody wants it any more."""
        with self._lock:
            self._values.pop((request, stage), None)

    def begin(self, task: Task, frames: Sequence[Frame]) -> None:
        """Ask for all that a task reads; it is computed once everything is here."""
        start_s = time.monotonic()
        work, values = decode_packet(frames)
        if not isinstance(work, Work):
            raise RunError("a task", "came without its work")
        known = self._underway[task.ticket] = Underway(task.ticket, work, dict(values))
        if values:
            known.handovers.append(_span(work, CALLER, values, start_s, start_s))
        for source in task.sources:
            if not source.key:
                self._give_up(known, "what it reads is gone with the worker that made it")
                return
            if source.key == self._link.key:
                held = self._held(work.request, source.stage)
                if held is None:
                    self._give_up(known, "its own values are gone")
                    return
                own = {name: held[1][name] for name in source.names}
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

    def answer(self, number: int, request: int, stage: int, names: tuple[str, ...]) -> list[Frame]:
        """What another worker wants, if it is here; from the link's thread."""
        held = self._held(request, stage)
        if held is None or not held[1].keys() >= set(names):
            return encode(Lack(number))
        values = {name: held[1][name] for name in names}
        packet = msgspec.structs.replace(held[0], tensors=tensor_heads(values, digests=False))
        return encode(Have(number), encode_packet(packet, values))

    def take(self, key: str, number: int, frames: list[memoryview]) -> None:
        """Values have come that were wanted; or nobody asked this worker for them."""
        known = self._whose(key, number)
        if known is None:
            return
        del self._asked[number]
        source, asked_s = known.missing.pop(number)
        start_s = time.monotonic()
        try:
            values = _wanted(frames, known.work, source)
        except RunError as error:
            self._leave(known)
            self._fail(known.ticket, known.work, Fault.ERROR, error)
            return
        known.values.update(values)
        known.handovers.append(_span(known.work, source.stage, values, asked_s, start_s))
        self._go(known)

    def miss(self, key: str, number: int) -> None:
        """Another worker lacks what was wanted of it."""
        known = self._whose(key, number)
        if known is not None:
            self._give_up(known, "what it reads is gone with the worker that made it")

    def lose(self, key: str) -> None:
        """Another worker is gone: nothing that was wanted of it will come."""
        self._link.forget(key)
        for known in [*self._underway.values()]:
            if any(source.key == key for source, _ in known.missing.values()):
                self._give_up(known, "what it reads is gone with the worker that made it")

    def look_again(self) -> None:
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
                    self._leave(known)
                    error = RunError(source.endpoint, f"does not send what it has for {_PATIENCE_S:g} s")
                    self._fail(known.ticket, known.work, Fault.ERROR, error)
                    break

    def _whose(self, key: str, number: int) -> Underway | None:
        """The task that asked a question of a worker."""
        known = self._underway.get(self._asked.get(number, -1))
        return known if known is not None and known.missing[number][0].key == key else None

    def _want(self, known: Underway, number: int, source: Source) -> None:
        self._link.send(source.key, encode(Want(number, known.work.request, source.stage, source.names)))

    def _give_up(self, known: Underway, why: str) -> None:
        self._leave(known)
        self._fail(known.ticket, known.work, Fault.INPUTS, RunError(f"request {known.work.request}", why))

    def _go(self, known: Underway) -> None:
        if not known.missing:
            self._leave(known)
            self._done(known)

    def _leave(self, known: Underway) -> None:
        self._underway.pop(known.ticket, None)
        for number in known.missing:
            self._asked.pop(number, None)

    def _held(self, request: int, stage: int) -> tuple[Result, Mapping[str, np.ndarray]] | None:
        with self._lock:
            return self._values.get((request, stage))


def _wanted(frames: list[memoryview], work: Work, source: Source) -> dict[str, np.ndarray]:
    """What another worker sends, if it is what it was asked for.

    Raises:
        RunError: it is no packet, of another task, or has other values.
    """
    packet, values = decode_packet(frames)
    asked = (work.run, work.package, work.request, source.stage)
    if not isinstance(packet, Result) or (packet.run, packet.package, packet.request, packet.stage) != asked:
        raise RunError(source.endpoint, "sends what another task has made")
    if set(values) != set(source.names):
        raise RunError(source.endpoint, "sends other values than were wanted", expected=", ".join(source.names))
    return values


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
