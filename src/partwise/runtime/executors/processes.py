"""Run stages in processes of their own, requests pipelined over them.

Headers pass through this process; tensor bytes go from the sender's memory straight into each receiver's own, once
per receiver (`shared_memory`). Each worker's memory is this process's too: what a worker has sent outlives it, and
the process that takes its place goes on in the same memory. The schedule decides what happens next, and what to do
when a worker dies; this file only carries it out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

from partwise.error_parts import error_of
from partwise.errors import PartwiseError, RunError
from partwise.packaging import Package
from partwise.runtime.demands import demands_of
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.executors.drive import Driver
from partwise.runtime.executors.executor import Answer, Options, Values
from partwise.runtime.executors.interfaces import Interfaces
from partwise.runtime.executors.messages import Begin, Done, Failed, Load, Loaded, Message, Task, Unload
from partwise.runtime.executors.parcels import Parcels
from partwise.runtime.executors.reported import Reported
from partwise.runtime.executors.shared_memory import create_memory
from partwise.runtime.executors.worker_process import SEGMENTS, Crew, Gone, Pulse
from partwise.runtime.route import CALLER, Route
from partwise.runtime.schedule import (
    Compute,
    Divided,
    Event,
    Fault,
    Finished,
    Heard,
    Incident,
    Indivisible,
    Lost,
    Refused,
    Schedule,
)
from partwise.runtime.schedule import Failed as TaskFailed
from partwise.runtime.schedule import Loaded as StageLoaded
from partwise.runtime.trace import LoadSpan

__all__ = ["Processes"]

_QUEUE = 2
"""Tasks handed to a worker at once: one that it computes, and the next beside it."""


class Processes:
    """One worker a stage unless told otherwise; they start, and load their segments, while the caller goes on."""

    def __init__(self, package: Package, options: Options) -> None:
        route = Route.of(package.manifest)
        workers = options.workers or route.stages
        self._options = options
        self._schedule = Schedule(
            route,
            workers=[options.capacity] * workers,
            demands=demands_of(package, layers=options.capacity.layers is not None, weights=options.weights),
            in_flight=options.in_flight or max(route.stages, workers) + 1,
            queue=_QUEUE,
            policy=options.policy,
            supervised=True,
        )
        self._schedule.story.on_note = options.on_incident
        self._hands = _Hands(package, options, workers)
        self._driver = Driver(package.manifest, self._schedule, self._hands)
        try:
            self._driver.begin()
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run now, by worker."""
        return self._hands.crew.pids

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """See `Executor`."""
        return tuple(self._schedule.story.incidents)

    def ready(self) -> tuple[EngineSettings, ...]:
        """See `Executor`."""
        told: int | None = None

        def enough() -> bool:
            nonlocal told
            active = self._schedule.route.active
            loaded = sum(stage in self._hands.settings for stage in active)
            if loaded != told:
                self._options.on_progress("start workers", loaded, len(active))
            told = loaded
            return loaded == len(active)

        self._driver.wait(enough)
        return tuple(self._hands.settings[stage] for stage in self._schedule.route.active)

    def run(self, requests: Iterable[Values | float | None]) -> Iterator[Answer]:
        """See `Executor`. One stream at a time; a stream that is left before its end ends the workers."""
        self.ready()
        try:
            yield from self._driver.run(requests)
        finally:
            if not self._schedule.done:
                self.close()

    def wake(self) -> None:
        """See `Executor`."""
        self._hands.crew.wake()

    def close(self) -> None:
        """Hang up on every worker, and see that it has ended."""
        self._hands.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Hands:
    """Carries out a schedule: headers to the workers, model inputs into shared memory, outputs out of it."""

    def __init__(self, package: Package, options: Options, workers: int) -> None:
        self._package, self._options = package, options
        self.crew = Crew(SEGMENTS)
        self.settings: dict[int, EngineSettings] = {}
        self._interfaces = Interfaces(package, options.weights)
        self._memory: dict[int, int] = {}
        self._errors = Reported()
        self._since_s: dict[tuple[int, int], float] = {}
        """Of loads under way, by worker and stage: when each began."""
        self._tasks: dict[int, tuple[Compute, Mapping[str, int]]] = {}
        try:
            for owner in range(CALLER, workers):
                self._memory[owner] = create_memory()
        except BaseException:
            self.close()
            raise
        self._parcels = Parcels(self._memory)

    def start(self, worker: int) -> None:
        end, slots = self._parcels.inherited(worker)
        path, digest = str(self._package.path.resolve()), self._package.digest
        begin = Begin(path, digest, worker, self._memory, self._options.probe, end, slots)
        self.crew.start(worker, begin, self._memory.values())

    def stop(self, worker: int) -> None:
        self.crew.dismiss(worker)
        self._forget(worker)

    def load(self, worker: int, stage: int, *, on_cpu: bool) -> None:
        self._interfaces.keeping.load(worker, stage)
        self._since_s[worker, stage] = time.monotonic()
        engine = self._interfaces.engine(self._options, stage, on_cpu=on_cpu)
        options = self._options
        self.crew.post(worker, Load(stage, engine, options.threads, options.weights, self._interfaces.piece(stage)))

    def unload(self, worker: int, stage: int) -> None:
        self.crew.post(worker, Unload(stage))

    def ping(self, worker: int) -> None:
        self.crew.ping(worker)

    def divide(self, stage: int) -> Divided | Indivisible:
        return self._interfaces.divide(stage)

    def offer(self, request: int, inputs: Values, sizes: dict[str, int]) -> None:  # noqa: ARG002
        read = {name: inputs[name] for name in self._interfaces.read}
        if read:
            self._parcels.offer(request, read)

    def compute(self, task: Compute, sizes: Mapping[str, int]) -> None:
        self._interfaces.keeping.compute(task)
        parcels = self._parcels.addressed(task.request, self._interfaces.inputs(task.stage))
        self._tasks[task.ticket] = task, sizes
        released = self._parcels.released(task.worker)
        message = Task(task.ticket, task.request, task.stage, dict(sizes), parcels, released)
        self.crew.post(task.worker, message)

    def discard(self, ticket: int) -> None:
        """Nothing comes too late here: who is stopped is not heard any more."""

    def collect(self, request: int, stage: int) -> Values:
        return self._parcels.read(request, stage, self._interfaces.returned)

    def release(self, request: int, sender: int) -> None:
        self._parcels.release(request, sender)

    def next(self, timeout_s: float | None) -> Event | None:
        heard = self.crew.next(timeout_s)
        return None if heard is None else self._event(*heard)

    def error(self, worker: int, why: str) -> PartwiseError | None:
        return self._errors.find(worker, why)

    def close(self) -> None:
        """End all workers, and give their memory back."""
        self.crew.stop()
        while self._memory:
            os.close(self._memory.popitem()[1])

    def _event(self, worker: int, message: Message | Pulse | Gone) -> Event | None:
        match message:
            case Done():
                return self._done(worker, message)
            case Pulse():
                return Heard(worker)
            case Loaded(stage, settings):
                self.settings[stage] = settings
                self._note_load(worker, stage)
                return StageLoaded(worker, stage)
            case Failed():
                why = self._errors.note(worker, error_of(message, RunError))
                if message.ticket is None:
                    return Refused(worker, message.stage, message.fault, why)
                self._tasks.pop(message.ticket, None)
                return TaskFailed(message.ticket, message.fault, why)
            case Gone(error):
                self._forget(worker)
                return Lost(worker, self._errors.note(worker, error))
            case _:
                return None

    def _done(self, worker: int, done: Done) -> Event | None:
        """A result, which is looked at before it is believed."""
        if done.ticket not in self._tasks:
            return TaskFailed(done.ticket, Fault.LIED, "an answer that nobody asked for")
        task, sizes = self._tasks.pop(done.ticket)
        try:
            self._interfaces.check(task.stage, done.parcel, sizes)
            self._parcels.accept(worker, task, done.parcel)
        except PartwiseError as error:
            return TaskFailed(done.ticket, Fault.LIED, self._errors.note(worker, error))
        if self._options.trace:
            self._options.trace.segments.append(done.segment)
            self._options.trace.handovers.extend(done.handovers)
            self._options.trace.nodes.extend(done.nodes)
        return Finished(done.ticket, done.segment.end_s - done.segment.start_s)

    def _note_load(self, worker: int, stage: int) -> None:
        began_s = self._since_s.pop((worker, stage))
        if self._options.trace:
            span = LoadSpan(worker=worker, stage=stage, start_s=began_s, end_s=time.monotonic())
            self._options.trace.loads.append(span)

    def _forget(self, worker: int) -> None:
        self._tasks = {ticket: known for ticket, known in self._tasks.items() if known[0].worker != worker}
