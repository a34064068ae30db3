"""What was measured of a run, as JSON: `--trace trace.json`.

    {"version": "partwise.trace/1", "package": digest, "executor": name, "threads": n,
     "segments":  [{"request", "stage", "start_s", "end_s", "input_bytes", "output_bytes",
                    "resident_bytes", "peak_bytes"}, ...],
     "handovers": [{"request", "sender", "receiver", "start_s", "end_s", "copy_s", "bytes", "values",
                    "resident_bytes", "peak_bytes"}, ...],
     "nodes":     [{"request", "stage", "node", "start_s", "end_s"}, ...],
     "loads":     [{"worker", "stage", "start_s", "end_s"}, ...]}

Times are seconds of one monotonic clock for all processes of the machine, from the first event on.
A segment's span is its computation alone. A hand-over runs from the sender's first byte written until the receiver
has the values at hand; `copy_s` of it is copying, which the sender does, the rest is waiting for the receiver to be
free. The caller is -1: it sends the model's inputs. In one process a value is handed over where it lies: 0 s, and the
bytes that were not copied. `resident_bytes` is what the computing (receiving) process held before, `peak_bytes` the
most that it held during the span: resident memory, weights included (`partwise.runtime.memory` says how exactly);
null where the system does not say. `nodes` is empty unless each node was asked for, which costs time of its own.
A load runs from the moment when it is asked for, just after its worker's process was started, until the stage is
ready: most begin before the first event, at negative times; one in the middle is what replacing a worker took.
`fake` stands there where stages ran on fake devices: what each pretended, by stage; no time of theirs is one of real
hardware.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from partwise.runtime.memory import resident, restart_peak

__all__ = [
    "TRACE_VERSION",
    "HandoverSpan",
    "LoadSpan",
    "Measured",
    "NodeSpan",
    "Probe",
    "SegmentSpan",
    "Trace",
    "measured",
]

TRACE_VERSION = "partwise.trace/1"
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What to measure beside the times of segments and hand-overs, which cost nothing."""

    memory: bool = False
    """Resident memory before and at most; reading it takes about 0.1 ms a span."""
    nodes: bool = False
    """The times of each node; the engine then runs node by node."""


class SegmentSpan(msgspec.Struct, frozen=True, kw_only=True):
    """One task: one segment computed for one request."""

    request: int
    stage: int
    start_s: float
    end_s: float
    input_bytes: int
    output_bytes: int
    resident_bytes: int | None = None
    peak_bytes: int | None = None


class HandoverSpan(msgspec.Struct, frozen=True, kw_only=True):
    """What one sender sent to one receiver for one request."""

    request: int
    sender: int
    receiver: int
    start_s: float
    end_s: float
    copy_s: float
    bytes: int
    values: int
    resident_bytes: int | None = None
    peak_bytes: int | None = None


class NodeSpan(msgspec.Struct, frozen=True, kw_only=True):
    """One node of one task."""

    request: int
    stage: int
    node: str
    start_s: float
    end_s: float


class LoadSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A stage made ready on a worker."""

    worker: int
    stage: int
    start_s: float
    end_s: float


@dataclass(slots=True, kw_only=True)
class Trace:
    """All spans of a run, in the order in which they were reported."""

    segments: list[SegmentSpan] = field(default_factory=list[SegmentSpan])
    handovers: list[HandoverSpan] = field(default_factory=list[HandoverSpan])
    nodes: list[NodeSpan] = field(default_factory=list[NodeSpan])
    loads: list[LoadSpan] = field(default_factory=list[LoadSpan])

    def as_data(self, *, package: str, executor: str, threads: int) -> dict[str, object]:
        """The file's content: times from the first event on."""
        spans = [*self.segments, *self.handovers, *self.nodes]
        zero = min((span.start_s for span in spans), default=0.0)
        return {
            "version": TRACE_VERSION,
            "package": package,
            "executor": executor,
            "threads": threads,
            "segments": [_shifted(span, zero) for span in self.segments],
            "handovers": [_shifted(span, zero) for span in self.handovers],
            "nodes": [_shifted(span, zero) for span in self.nodes],
            "loads": [_shifted(span, zero) for span in self.loads],
        }


class Measured(msgspec.Struct, frozen=True):
    """When something ran, and what memory it took."""

    start_s: float
    end_s: float
    resident_bytes: int | None
    peak_bytes: int | None


def measured(work: Callable[[], Result], *, memory: bool) -> tuple[Result, Measured]:
    """The result of some work, and its measure; resident memory only if asked."""
    before = restart_peak() if memory else None
    start = time.monotonic()
    result = work()
    end = time.monotonic()
    peak = resident()[1] if memory else None
    return result, Measured(start, end, before, peak)


def _shifted(span: SegmentSpan | HandoverSpan | NodeSpan | LoadSpan, zero: float) -> dict[str, object]:
    data = msgspec.to_builtins(span)
    return data | {"start_s": round(span.start_s - zero, 9), "end_s": round(span.end_s - zero, 9)}
