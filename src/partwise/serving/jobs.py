"""Requests that wait, and which of them run next: together where they fit, in the order in which they came."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition
from typing import Final

import numpy as np

from partwise.errors import RunError
from partwise.runtime.trace import HandoverSpan, SegmentSpan

__all__ = ["END", "BusyError", "Job", "Queue", "Recent", "Served"]


class BusyError(RunError):
    """There is no room for another request, or no more are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What became of one request."""

    outputs: dict[str, np.ndarray]
    batch: int
    """Number of the run that it was part of, since the server started."""
    row: int
    """Where its rows began in it."""
    rows: int
    """Of the whole run; the answer is that of the package at this batch, bit for bit."""
    segments: tuple[SegmentSpan, ...]
    handovers: tuple[HandoverSpan, ...]
    waited_s: float


@dataclass(slots=True, kw_only=True)
class Job:
    """A request that fits the model."""

    values: Mapping[str, np.ndarray]
    rows: int
    kind: tuple[tuple[str, int], ...]
    """Sizes other than the batch: only requests with equal ones can be joined."""
    arrived_s: float
    future: Future[Served] = field(default_factory=Future[Served])
    attempts: int = 0
    """Runs that it was part of and that failed."""
    alone: bool = False
    """It was under way when a run failed: it is repeated with nothing beside it, so that only a guilty one fails."""


class _End:
    """The stream is to end."""


END: Final = _End()
_LOOK_S = 0.5
"""How long the feeding thread waits for a request before it looks after idle workers (assumed)."""


class Queue:
    """Where the server's threads put jobs, and the feeding thread takes batches."""

    def __init__(self, *, max_rows: int, delay_s: float, room: int) -> None:
        self.max_rows, self.delay_s, self.room = max_rows, delay_s, room
        self.pace_s: Callable[[], float] = lambda: 0.0
        """How long the next batch is held back, asked when it would be due."""
        self._jobs: deque[Job] = deque()
        self._changed = Condition()
        self._closed = self._interrupted = False

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job) -> None:
        """Add a job at the end.

        Raises:
            BusyError: there is no room, or the server is ending.
        """
        with self._changed:
            if self._closed:
                raise BusyError("server", "is ending and takes no more requests")
            if len(self._jobs) >= self.room:
                raise BusyError("server", "has no room for another request", got=f"{len(self._jobs)} waiting")
            self._jobs.append(job)
            self._changed.notify()

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Jobs whose run failed, to the front, each by itself."""
        with self._changed:
            for job in reversed(tuple(jobs)):
                job.alone = True
                self._jobs.appendleft(job)
            self._changed.notify()

    def drop(self) -> list[Job]:
        """All that wait, which will not be run."""
        with self._changed:
            dropped = list(self._jobs)
            self._jobs.clear()
            return dropped

    def close(self) -> None:
        """Take no more; the stream ends when nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def interrupt(self) -> None:
        """End the stream once, between two batches."""
        with self._changed:
            self._interrupted = True
            self._changed.notify()

    def take(self, underway: Sequence[Sequence[Job]]) -> list[Job] | _End | float | None:
        """The next batch; None for none now, seconds for none before. Waits, half a second at most, only while nothing
        is under way.

        Args:
            underway: the batches that are not answered yet.
        """
        until_s = time.monotonic() + _LOOK_S
        with self._changed:
            while True:
                if self._interrupted:
                    self._interrupted = False
                    return END
                wait_s = self._wait_s(underway)
                held_s = self.pace_s() if wait_s == 0 else 0.0
                if held_s > 0 and underway:
                    return held_s
                if wait_s == 0 and held_s == 0:
                    batch = [job for job in self._pop() if job.alone or job.future.set_running_or_notify_cancel()]
                    if batch:
                        return batch
                elif self._closed and not self._jobs:
                    return END
                elif underway:
                    return wait_s
                elif (left_s := until_s - time.monotonic()) <= 0:
                    return None
                else:
                    self._changed.wait(min(held_s or wait_s or left_s, left_s))

    def _wait_s(self, underway: Sequence[Sequence[Job]]) -> float | None:
        """How long until the next batch is due: 0 now, None for no job at all."""
        if not self._jobs or any(job.alone for batch in underway for job in batch):
            return None
        first = self._jobs[0]
        if first.alone:
            return None if underway else 0
        if self._closed or self._ready_rows() >= self.max_rows:
            return 0
        return max(0, first.arrived_s + self.delay_s - time.monotonic())

    def _ready_rows(self) -> int:
        first = self._jobs[0]
        return sum(job.rows for job in self._jobs if job.kind == first.kind and not job.alone)

    def _pop(self) -> list[Job]:
        """The first job, and those behind it that fit beside it."""
        first = self._jobs.popleft()
        batch, rows, kept = [first], first.rows, deque[Job]()
        while self._jobs and not first.alone and rows < self.max_rows:
            job = self._jobs.popleft()
            if job.kind == first.kind and not job.alone and rows + job.rows <= self.max_rows:
                batch.append(job)
                rows += job.rows
            else:
                kept.append(job)
        self._jobs.extendleft(reversed(kept))
        return batch


class Recent:
    """How many rows came in the last second. Many threads add, one asks."""

    def __init__(self) -> None:
        self._came: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, rows: int) -> None:
        """So many came."""
        self._came.append((now_s, rows))

    def per_s(self, now_s: float) -> float:
        """Rows a second."""
        while self._came and self._came[0][0] < now_s - 1.0:
            self._came.popleft()
        return float(sum(rows for _, rows in self._came))
