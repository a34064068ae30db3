"""The feeding thread: takes batches from the queue, sends them through an executor, hands the answers out.

One thread drives the executor from its start to its end, so nothing about it needs a lock. The executor replaces
workers that die and repeats their tasks; a batch that fails is repeated request by request, and where the executor
itself fails another is started, and what was under way is repeated in the same way: inference has no state, so
repeating is safe, and a request that fails alone is the one that failed. (A lost worker may have died of something
else, so a request is blamed for that only after several.)
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from partwise.errors import PartwiseError, RunError, WorkerLostError
from partwise.runtime.executors import Answer, Executor, Values, start_executor
from partwise.runtime.governor import Sample
from partwise.runtime.sizes import bind_sizes, check_values
from partwise.runtime.trace import HandoverSpan, SegmentSpan, Trace
from partwise.serving.batching import join, split
from partwise.serving.checks import check_exact, check_rows
from partwise.serving.jobs import END, BusyError, Job, Queue, Recent, Served
from partwise.serving.setup import Observer, Setup

__all__ = ["Feed"]

_BACKOFF_S = (0.1, 10.0)
"""First and longest wait before another start of an executor that would not start (doubled each time; assumed)."""
_UNANSWERED = RunError("server", "ended before this request was answered")
_ATTEMPTS = 3
"""Runs that may lose a worker with the same request under way before it is held to be the cause (assumed)."""


@dataclass(slots=True)
class _Stream:
    """One stream of batches through one executor."""

    underway: dict[int, list[Job]] = field(default_factory=dict[int, list[Job]])
    begun: dict[int, tuple[float, int]] = field(default_factory=dict[int, tuple[float, int]])
    """When each batch began, and the bytes that it moves by our account."""
    offered: int = 0
    segments: dict[int, list[SegmentSpan]] = field(default_factory=dict[int, list[SegmentSpan]])
    handovers: dict[int, list[HandoverSpan]] = field(default_factory=dict[int, list[HandoverSpan]])


class Feed:
    """A package at work."""

    def __init__(self, setup: Setup, observer: Observer, *, room: int) -> None:
        self._observer = observer
        self._queue = Queue(max_rows=1, delay_s=0.0, room=room)
        self._setup, self._next = setup, setup
        self._executor: Executor | None = None
        self._symbol = setup.symbol
        self._stream = _Stream()
        self._batches = 0
        self._came = Recent()
        self._good: Setup | None = None
        self._checked = False
        self._is_over = False
        """What is under way is left: the feeding thread is to end, whatever happens to it."""
        self.ready = threading.Event()
        self.error: BaseException | None = None
        """Why the thread ended, where it could not even begin."""
        self.on_ready: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._work, name="partwise-feed", daemon=True)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    @property
    def underway(self) -> int:
        """Requests that are being computed."""
        return sum(len(batch) for batch in tuple(self._stream.underway.values()))

    @property
    def bus(self) -> Sample | None:
        """The last sample of the memory bus; None without a governor."""
        governor = self._setup.pace.governor
        return None if governor is None else governor.last

    def start(self) -> None:
        """Begin: load the package, and answer what is submitted."""
        self._thread.start()

    def submit(self, values: Mapping[str, np.ndarray]) -> Job:
        """A request, to be answered in its job's `future`.

        Raises:
            InterfaceMismatchError: it does not fit the model.
            BusyError: no room, or the server is ending.
        """
        gate = self._setup.pace.gate
        if gate is not None and (reason := gate.passed()):
            raise BusyError("machine", f"is too busy for more requests ({reason})")
        manifest = self._setup.package.manifest
        sizes = bind_sizes(manifest.symbols, values)
        check_values("model input", manifest.inputs, values, sizes)
        kind = tuple(sorted((name, size) for name, size in sizes.items() if name != self._symbol))
        rows = sizes.get(self._symbol or "", 1)
        job = Job(values=values, rows=rows, kind=kind, arrived_s=time.monotonic())
        self._queue.put(job)
        if self._setup.adaptive:
            self._came.add(job.arrived_s, rows)
        if (executor := self._executor) is not None:
            executor.wake()
        return job

    def reload(self, setup: Setup, *, room: int) -> None:
        """Go on with another executor or other options, once what is under way is answered. Nothing is lost."""
        self._next, self._queue.room = setup, room
        self._queue.interrupt()

    def close(self, timeout_s: float) -> bool:
        """Answer what is here, and end; whether all was answered in time."""
        self._queue.close()
        self._thread.join(timeout_s)
        drained = not self._thread.is_alive()
        if not drained:
            self._is_over = True
            self._refuse(_UNANSWERED)
            if (executor := self._executor) is not None:
                executor.close()  # a worker that hangs would outlive this process
            self._thread.join(timeout_s)
        return drained

    def _work(self) -> None:
        pause_s = _BACKOFF_S[0]
        while True:
            try:
                if self._run_executor():
                    break
                pause_s = _BACKOFF_S[0]
            except Exception as error:  # noqa: BLE001 - the worker loop: whatever a request meets, the service goes on
                started = self.ready.is_set()
                self.ready.clear()  # before anybody hears of it
                if self._is_over:
                    for job in (job for batch in self._stream.underway.values() for job in batch):
                        job.future.set_exception(_UNANSWERED)
                    break
                if self._good is None:
                    self.error = error
                    break
                self._recover(error)
                if self._setup is not self._good:
                    print(f"reload: {error} It goes on as before.", file=sys.stderr, flush=True)
                if self._next is self._setup:
                    self._next = self._good
                if not started:
                    time.sleep(pause_s)
                    pause_s = min(2 * pause_s, _BACKOFF_S[1])
        self.ready.clear()
        self._refuse(RunError("server", "has ended"))
        self.on_end()

    def _run_executor(self) -> bool:
        """One executor from start to end; whether that was the end of all."""
        setup = self._setup = self._next
        trace = Trace()
        options = replace(setup.options, trace=trace, on_incident=self._observer.incident)
        with start_executor(setup.executor, setup.package, options) as executor, self._holding(executor):
            check_exact(setup.package, executor, setup.options.threads, setup.max_difference)
            if setup.max_batch > 1 and self._symbol is not None and not self._checked:
                check_rows(setup.package, executor, self._symbol)
                self._checked = True
            self._queue.max_rows = setup.max_batch if self._symbol is not None else 1
            self._queue.pace_s = lambda: setup.pace.wait_s(thresholds=False)
            self._queue.delay_s = setup.batch_delay_s if self._queue.max_rows > 1 else 0.0
            _clear(trace)
            first, self._good = self._good is None, setup
            self.ready.set()
            if first:
                self.on_ready()
            self._serve(executor, trace)
        return self._next is setup

    @contextmanager
    def _holding(self, executor: Executor) -> Generator[None]:
        """Whom other threads wake, and end where this one does not."""
        self._executor = executor
        try:
            yield
        finally:
            self._executor = None

    def _serve(self, executor: Executor, trace: Trace) -> None:
        self._stream = _Stream()
        for answer in executor.run(self._offers()):
            self._answer(answer, trace)

    def _offers(self) -> Iterator[Values | float | None]:
        stream = self._stream
        while (batch := self._queue.take(list(stream.underway.values()))) is not END:
            if batch is None or isinstance(batch, float):
                yield batch
                continue
            assert isinstance(batch, list)
            self._begin(batch)
            yield batch[0].values if len(batch) == 1 else join([job.values for job in batch])

    def _begin(self, batch: list[Job]) -> None:
        stream, setup = self._stream, self._setup
        rows = sum(job.rows for job in batch)
        sizes = dict(batch[0].kind)
        size = setup.traffic(rows, sizes) if setup.pace.governor is not None else 0
        setup.pace.begin(size)
        stream.underway[stream.offered] = batch
        stream.begun[stream.offered] = (time.monotonic(), size)
        stream.offered += 1
        if setup.adaptive:
            self._queue.max_rows = setup.microbatch(self._came.per_s(time.monotonic()), sizes)

    def _fail(self, request: int, error: PartwiseError) -> None:
        """A batch that cannot be computed: its requests are repeated one by one, and one that fails alone fails."""
        batch = self._stream.underway.pop(request)
        self._setup.pace.finished(*self._stream.begun.pop(request))
        if len(batch) == 1:
            batch[0].future.set_exception(error)
        else:
            self._queue.put_back(batch)

    def _answer(self, answer: Answer, trace: Trace) -> None:
        stream, now = self._stream, time.monotonic()
        segments, handovers = self._spans(answer.request, trace)
        if answer.error is not None:
            self._fail(answer.request, answer.error)
            return
        batch = stream.underway.pop(answer.request)
        self._setup.pace.finished(*stream.begun.pop(answer.request))
        counts = [job.rows for job in batch]
        parts: list[dict[str, np.ndarray]] = [answer.outputs] if len(batch) == 1 else split(answer.outputs, counts)
        start = min((span.start_s for span in segments), default=now)
        self._observer.answered(sum(counts))
        row = 0
        for job, outputs in zip(batch, parts, strict=True):
            job.future.set_result(
                Served(outputs=outputs, batch=self._batches, row=row, rows=sum(counts), segments=segments,
                       handovers=handovers, waited_s=max(0.0, start - job.arrived_s))
            )  # fmt: skip
            row += job.rows
        self._batches += 1

    def _spans(self, request: int, trace: Trace) -> tuple[tuple[SegmentSpan, ...], tuple[HandoverSpan, ...]]:
        """What was measured of a request that has ended, well or not."""
        stream = self._stream
        for span in trace.segments:
            stream.segments.setdefault(span.request, []).append(span)
        for handover in trace.handovers:
            stream.handovers.setdefault(handover.request, []).append(handover)
        self._observer.measured(trace)
        _clear(trace)
        return tuple(stream.segments.pop(request, ())), tuple(stream.handovers.pop(request, ()))

    def _recover(self, error: Exception) -> None:
        """After a failure: the guilty request fails, the others are repeated."""
        known = error if isinstance(error, PartwiseError) else RunError("server", f"failed ({type(error).__name__})")
        if known is not error:
            traceback.print_exception(error, file=sys.stderr)
        jobs = [job for batch in self._stream.underway.values() for job in batch]
        self._stream = _Stream()
        for job in jobs:
            job.attempts += 1
        guilty = len(jobs) == 1 and (not isinstance(known, WorkerLostError) or jobs[0].attempts >= _ATTEMPTS)
        if guilty:
            jobs[0].future.set_exception(known)
        else:
            self._queue.put_back(jobs)
        self._observer.restarted(known)

    def _refuse(self, error: PartwiseError) -> None:
        for job in self._queue.drop():
            if job.alone or job.future.set_running_or_notify_cancel():
                job.future.set_exception(error)


def _clear(trace: Trace) -> None:
    trace.segments.clear()
    trace.handovers.clear()
    trace.nodes.clear()
    trace.loads.clear()
