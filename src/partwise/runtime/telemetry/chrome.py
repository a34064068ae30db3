"""A trace in the format that Perfetto and chrome://tracing open: `--trace-format perfetto`.

Source: Trace Event Format (Google, docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU): complete
events (X) for segments and the nodes within them, async events (b, e) for hand-overs, which overlap, flow events
(s, f) from a sender's segment to its reader's, counters (C) of resident memory, metadata (M) for names. Times are
microseconds, of whole nanoseconds: Perfetto's importer reckons in these and drops a complete event that ends one
after the event around it, or begins one before the end of the last (Source: google/perfetto,
`src/trace_processor/importers/common/slice_tracker.cc`, `MaybeCloseStack`).
"""

from __future__ import annotations

from collections.abc import Iterator

from partwise.runtime.route import CALLER
from partwise.runtime.trace import HandoverSpan, NodeSpan, SegmentSpan, Trace

__all__ = ["chrome_trace"]

_FLOW_S = 1e-6
"""How long before a segment's end its arrow leaves: an arrow must start within the event that it leaves."""
_END = "end"
Event = dict[str, object]


def chrome_trace(trace: Trace, *, package: str, executor: str, threads: int) -> dict[str, object]:
    """The file's content.

    Args:
        trace: what was measured.
        package: digest of the package.
        executor: name of the executor.
        threads: of each stage.
    """
    zero = min((span.start_s for span in (*trace.segments, *trace.handovers, *trace.nodes)), default=0.0)
    lanes = _lanes(trace.segments)
    events = [*_names(trace, lanes), *_segments(trace, lanes), *_nodes(trace, lanes), *_handovers(trace, lanes)]
    return {
        "traceEvents": [_timed(event, zero) for event in events],
        "displayTimeUnit": "ms",
        "otherData": {"package": package, "executor": executor, "threads": threads},
    }


def _names(trace: Trace, lanes: dict[tuple[int, int], int]) -> Iterator[Event]:
    zero = min((span.start_s for span in (*trace.segments, *trace.handovers, *trace.nodes)), default=0.0)
    used = sorted({(span.stage, lanes[span.request, span.stage]) for span in trace.segments})
    for stage in sorted({stage for stage, _ in used}):
        yield _meta("process_name", stage, 0, {"name": f"stage {stage}"}, zero)
        yield _meta("process_sort_index", stage, 0, {"sort_index": stage}, zero)
    if any(span.sender == CALLER for span in trace.handovers):
        yield _meta("process_name", CALLER, 0, {"name": "caller"}, zero)
    for stage, lane in used:
        yield _meta("thread_name", stage, lane, {"name": "compute" if lane == 0 else f"compute {lane}"}, zero)


def _segments(trace: Trace, lanes: dict[tuple[int, int], int]) -> Iterator[Event]:
    for span in sorted(trace.segments, key=lambda s: (s.start_s, s.stage)):
        lane = lanes[span.request, span.stage]
        args = {"request": span.request, "input_bytes": span.input_bytes, "output_bytes": span.output_bytes}
        yield _complete(f"request {span.request}", "segment", span, lane, args)
        for when, value in ((span.start_s, span.resident_bytes), (span.end_s, span.peak_bytes)):
            if value is not None:
                held = {"MiB": round(value / 2**20, 3)}
                yield {"name": "resident", "ph": "C", "ts": when, "pid": _pid(span.stage), "tid": 0, "args": held}


def _nodes(trace: Trace, lanes: dict[tuple[int, int], int]) -> Iterator[Event]:
    for span in trace.nodes:
        yield _complete(span.node, "node", span, lanes[span.request, span.stage], {"request": span.request})


def _handovers(trace: Trace, lanes: dict[tuple[int, int], int]) -> Iterator[Event]:
    computed = {(span.request, span.stage): span for span in trace.segments}
    for number, span in enumerate(sorted(trace.handovers, key=lambda s: (s.start_s, s.receiver, s.sender))):
        yield from _handover(number, span)
        sent, read = computed.get((span.request, span.sender)), computed.get((span.request, span.receiver))
        if sent is not None and read is not None:
            leaves = max(sent.start_s, sent.end_s - min(_FLOW_S, (sent.end_s - sent.start_s) / 2))
            yield _flow("s", number, leaves, span.sender, lanes[span.request, span.sender])
            yield _flow("f", number, read.start_s, span.receiver, lanes[span.request, span.receiver])


def _handover(number: int, span: HandoverSpan) -> Iterator[Event]:
    common: Event = {
        "name": f"request {span.request} to stage {span.receiver}", "cat": "handover", "id": number,
        "pid": _pid(span.sender), "tid": 0,
    }  # fmt: skip
    args = {"request": span.request, "bytes": span.bytes, "values": span.values, "copy_us": round(span.copy_s * 1e6, 3)}
    yield {**common, "ph": "b", "ts": span.start_s, "args": args}
    yield {**common, "ph": "e", "ts": span.end_s}


def _complete(name: str, kind: str, span: SegmentSpan | NodeSpan, lane: int, args: dict[str, int]) -> Event:
    return {
        "name": name, "cat": kind, "ph": "X", "ts": span.start_s, _END: span.end_s, "pid": _pid(span.stage),
        "tid": lane, "args": args,
    }  # fmt: skip


def _timed(event: Event, zero: float) -> Event:
    """An event with its times in microseconds since zero: start and end are rounded, never a length, so that what lay
    within or beside another event still does."""

    def nanoseconds(key: str) -> int:
        return round((float(str(event[key])) - zero) * 1e9)

    start_ns = nanoseconds("ts")
    dur: Event = {"dur": (nanoseconds(_END) - start_ns) / 1e3} if _END in event else {}
    return {**{name: value for name, value in event.items() if name != _END}, "ts": start_ns / 1e3, **dur}


def _flow(phase: str, number: int, when: float, stage: int, lane: int) -> Event:
    ends: Event = {"bp": "e"} if phase == "f" else {}
    return {"name": "value", "cat": "flow", "ph": phase, "id": number, "ts": when, "pid": _pid(stage), "tid": lane,
            **ends}  # fmt: skip


def _meta(name: str, stage: int, lane: int, args: Event, zero: float) -> Event:
    return {"name": name, "ph": "M", "ts": zero, "pid": _pid(stage), "tid": lane, "args": args}


def _pid(stage: int) -> int:
    """A process of the picture: the caller is 1, stage 0 is 2."""
    return stage - CALLER + 1


def _lanes(segments: list[SegmentSpan]) -> dict[tuple[int, int], int]:
    """A lane for each task: tasks of one stage that overlap, as of several workers, lie beside each other."""
    found: dict[tuple[int, int], int] = {}
    ends: dict[int, list[float]] = {}
    for span in sorted(segments, key=lambda s: (s.start_s, s.end_s)):
        free = ends.setdefault(span.stage, [])
        lane = next((number for number, end in enumerate(free) if end <= span.start_s), len(free))
        free[lane:] = [span.end_s, *free[lane + 1 :]]
        found[span.request, span.stage] = lane
    return found
