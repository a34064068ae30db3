"""Run all stages in this process: nothing is copied between them.

One request at a time is computed by the caller's own thread. With more in flight, each worker is a thread: engines
that let go of Python's lock while they compute (onnxruntime, OpenVINO, most of torch) then work side by side.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

import numpy as np

from partwise.errors import PartwiseError
from partwise.packaging import Package
from partwise.runtime.demands import demands_of
from partwise.runtime.engines import Engine, make_engine
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.executors.drive import Driver
from partwise.runtime.executors.executor import Answer, Options, Values
from partwise.runtime.executors.interfaces import Interfaces
from partwise.runtime.executors.reported import Reported
from partwise.runtime.faults import as_partwise, fault_of
from partwise.runtime.route import CALLER, Route
from partwise.runtime.schedule import (
    Compute,
    Divided,
    Event,
    Failed,
    Fault,
    Finished,
    Incident,
    Indivisible,
    Loaded,
    Refused,
    Schedule,
)
from partwise.runtime.stage import Computed, Stage
from partwise.runtime.trace import HandoverSpan, Trace

__all__ = ["InProcess"]

_GRACE_S = 5.0
"""How long leaving waits for a task under way in a thread (assumed)."""


class InProcess:
    """All segments loaded here."""

    def __init__(self, package: Package, options: Options) -> None:
        self._package, self._options = package, options
        self._begun = False
        self._build()

    def _build(self) -> None:
        package, options, route = self._package, self._options, Route.of(self._package.manifest)
        in_flight = options.in_flight or options.workers or 1
        workers = (options.workers or route.stages) if in_flight > 1 else 1
        self._schedule = Schedule(
            route,
            workers=[options.capacity] * workers,
            demands=demands_of(package, layers=options.capacity.layers is not None, weights=options.weights),
            in_flight=in_flight,
            queue=2 if workers > 1 else 1,
            policy=options.policy,
        )
        self._schedule.story.on_note = options.on_incident
        self._hands = _Hands(package, options, threaded=workers > 1)
        self._driver = Driver(package.manifest, self._schedule, self._hands)

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """See `Executor`."""
        return tuple(self._schedule.story.incidents)

    def ready(self) -> tuple[EngineSettings, ...]:
        """Load every segment."""
        if not self._begun:
            self._build()
            self._begun = True
            self._driver.begin()
        settings = self._hands.settings
        self._driver.wait(lambda: settings.keys() >= set(self._schedule.route.active))
        active = self._schedule.route.active
        return tuple(settings[stage] for stage in active)

    def run(self, requests: Iterable[Values | float | None]) -> Iterator[Answer]:
        """See `Executor`."""
        self.ready()
        try:
            yield from self._driver.run(requests)
        finally:
            if not self._schedule.done:
                self.close()

    def wake(self) -> None:
        """See `Executor`."""
        self._hands.wake()

    def close(self) -> None:
        """Forget the segments; another run loads them again."""
        self._hands.close()
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_Work = tuple[Compute, Stage, dict[str, np.ndarray], Mapping[str, int]]


class _Hands:
    """Computes, and keeps the values that somebody will read."""

    def __init__(self, package: Package, options: Options, *, threaded: bool) -> None:
        self._package, self._options, self._threaded = package, options, threaded
        self._interfaces = Interfaces(package, options.weights)
        self.settings: dict[int, EngineSettings] = {}
        self._engines: dict[str, Engine] = {}
        self._stages: dict[tuple[int, int], Stage] = {}
        self._sent: defaultdict[int, dict[int, Values]] = defaultdict(dict)
        """For each request under way: what each sender has sent."""
        self._errors = Reported()
        self._events: SimpleQueue[tuple[Compute, Computed | Exception] | Event | None] = SimpleQueue()
        self._threads: dict[int, tuple[threading.Thread, SimpleQueue[_Work | None]]] = {}

    def start(self, worker: int) -> None:
        if self._threaded:
            work: SimpleQueue[_Work | None] = SimpleQueue()
            thread = threading.Thread(target=self._serve, args=(work,), name=f"partwise-{worker}", daemon=True)
            self._threads[worker] = thread, work
            thread.start()

    def stop(self, worker: int) -> None:
        """A thread cannot be ended: the schedule is never told of a fault that asks for it."""

    def load(self, worker: int, stage: int, *, on_cpu: bool) -> None:
        self._interfaces.keeping.load(worker, stage)
        name = self._interfaces.engine(self._options, stage, on_cpu=on_cpu)
        piece, weights = self._interfaces.piece(stage), self._options.weights
        weights.settle()
        try:
            if name not in self._engines:
                self._engines[name] = make_engine(name, self._options.threads)
            loaded = Stage(self._package, stage, self._engines[name], piece, weights)
        except (PartwiseError, MemoryError) as error:
            why = self._errors.note(worker, as_partwise("engine", error))
            self._events.put(Refused(worker, stage, fault_of(error), why))
            return
        self._stages[worker, stage] = loaded
        self.settings[stage] = loaded.settings
        self._options.on_progress("load segments", len(self.settings), len(self._package.manifest.segments))
        self._events.put(Loaded(worker, stage))

    def unload(self, worker: int, stage: int) -> None:
        self._stages.pop((worker, stage), None)

    def ping(self, worker: int) -> None:
        """Threads of this process need none."""

    def divide(self, stage: int) -> Divided | Indivisible:
        return self._interfaces.divide(stage)

    def offer(self, request: int, inputs: Values, sizes: dict[str, int]) -> None:  # noqa: ARG002
        if self._interfaces.read:
            self._sent[request][CALLER] = inputs

    def compute(self, task: Compute, sizes: Mapping[str, int]) -> None:
        self._interfaces.keeping.compute(task)
        wanted, sent = self._interfaces.inputs(task.stage), self._sent[task.request]
        values = {name: given[name] for given in sent.values() for name in wanted if name in given}
        if self._options.trace:
            _note(self._options.trace, task, wanted, sent)
        work = (task, self._stages[task.worker, task.stage], values, sizes)
        if self._threaded:
            self._threads[task.worker][1].put(work)
        else:
            self._events.put((task, self._attempt(*work)))

    def discard(self, ticket: int) -> None:
        """Nobody is given up here before it answers."""

    def collect(self, request: int, stage: int) -> Values:
        wanted = self._interfaces.returned
        return {name: value for name, value in self._sent[request][stage].items() if name in wanted}

    def release(self, request: int, sender: int) -> None:
        del self._sent[request][sender]
        if not self._sent[request]:
            del self._sent[request]

    def wake(self) -> None:
        """Let `next` return."""
        self._events.put(None)

    def next(self, timeout_s: float | None) -> Event | None:
        try:
            found = self._events.get(timeout=timeout_s)
        except Empty:
            return None
        return self._event(*found) if isinstance(found, tuple) else found

    def error(self, worker: int, why: str) -> PartwiseError | None:
        return self._errors.find(worker, why)

    def close(self) -> None:
        """End the threads, and forget the segments."""
        for _, work in self._threads.values():
            work.put(None)
        for thread, _ in self._threads.values():
            thread.join(_GRACE_S)
        self._threads.clear()
        self._stages.clear()

    def _event(self, task: Compute, outcome: Computed | Exception) -> Event:
        if isinstance(outcome, Computed):
            self._sent[task.request][task.stage] = outcome.outputs
            if self._options.trace:
                self._options.trace.segments.append(outcome.segment)
                self._options.trace.nodes.extend(outcome.nodes)
            return Finished(task.ticket, outcome.segment.end_s - outcome.segment.start_s)
        why = self._errors.note(task.worker, as_partwise("engine", outcome))
        fault = fault_of(outcome)
        return Failed(task.ticket, Fault.ERROR if fault is Fault.LIED else fault, why)

    def _serve(self, work: SimpleQueue[_Work | None]) -> None:
        """A worker's thread."""
        while (given := work.get()) is not None:
            self._events.put((given[0], self._attempt(*given)))

    def _attempt(
        self, task: Compute, stage: Stage, values: dict[str, np.ndarray], sizes: Mapping[str, int]
    ) -> Computed | Exception:
        try:
            return stage.compute(task.request, values, sizes, self._options.probe)
        except Exception as error:  # noqa: BLE001 - the worker's loop: the schedule decides what a failure means
            return error


def _note(trace: Trace, task: Compute, wanted: tuple[str, ...], sent: Mapping[int, Values]) -> None:
    """A value is handed over where it lies: no time, and the bytes that were not copied."""
    now = time.monotonic()
    received = {sender: {n: given[n] for n in wanted if n in given} for sender, given in sorted(sent.items())}
    trace.handovers.extend(
        HandoverSpan(
            request=task.request,
            sender=sender,
            receiver=task.stage,
            start_s=now,
            end_s=now,
            copy_s=0.0,
            bytes=sum(value.nbytes for value in taken.values()),
            values=len(taken),
        )
        for sender, taken in received.items()
        if taken
    )
