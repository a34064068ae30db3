"""One package under one executor: how many requests a second, how long one alone, and what each stage takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from itertools import count

from partwise.runtime.executors import Executor, Values
from partwise.runtime.trace import Trace

__all__ = ["lone_latencies", "stage_medians", "stream_per_s"]


def stream_per_s(executor: Executor, inputs: Values, seconds: float, in_flight: int) -> float:
    """Requests a second of a full pipeline: counted from when it is filled until nothing more is put in.

    Args:
        executor: ready.
        inputs: of every request.
        seconds: how long requests are put in.
        in_flight: how many it has under way at once; the first so many answers fill the pipeline.
    """
    deadline = time.monotonic() + seconds
    answered, after = list[float](), 2 * in_flight + 1

    def requests() -> Iterator[Values]:
        for number in count():
            if number > after and time.monotonic() > deadline:
                return
            yield inputs

    for _ in executor.run(requests()):
        answered.append(time.monotonic())
    # The pipeline drains at the end: the last answers came out of one that was no longer full.
    full = answered[in_flight - 1 : len(answered) - in_flight + 1]
    return (len(full) - 1) / (full[-1] - full[0])


def lone_latencies(executor: Executor, inputs: Values, seconds: float) -> tuple[list[float], float]:
    """How long single requests take, one after the other; and processor time of this process for each [s]."""
    deadline, found, worked = time.monotonic() + seconds, list[float](), time.process_time()
    while not found or time.monotonic() < deadline:
        start = time.monotonic()
        for _ in executor.run([inputs]):
            pass
        found.append(time.monotonic() - start)
    return found, (time.process_time() - worked) / len(found)


def stage_medians(trace: Trace, stages: int) -> list[tuple[float, float]]:
    """For each stage the medians of computing and of copying what it receives [s]."""
    computed = [[span.end_s - span.start_s for span in trace.segments if span.stage == n] for n in range(stages)]
    copied = [[span.copy_s for span in trace.handovers if span.receiver == n] for n in range(stages)]
    return [
        (statistics.median(times), statistics.median(copies) if copies else 0.0)
        for times, copies in zip(computed, copied, strict=True)
    ]
