"""Figures of a run that is under way, by stage: a window over the spans that have come in."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from partwise.runtime.trace import HandoverSpan, SegmentSpan

__all__ = ["Meter", "StageFigures"]

_WINDOW_S = 5.0
"""What "now" means: long enough for a steady figure, short enough to see a change (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFigures:
    """One stage, now."""

    stage: int
    done: int
    """Tasks since the start."""
    waiting: int | None
    """Requests that all its senders have sent and it has not computed; None where the caller alone sends."""
    busy: float
    """Share of the window that it computed (above 1 with several workers)."""
    per_s: float
    """Tasks a second in the window."""
    median_s: float | None
    """Of a task in the window."""
    resident_bytes: int | None
    """At most, in the window."""
    bytes_per_s: float
    """Received from other stages and the caller, in the window."""


@dataclass(slots=True)
class _Stage:
    done: int = 0
    senders: set[int] = field(default_factory=set[int])
    segments: deque[SegmentSpan] = field(default_factory=deque[SegmentSpan])
    handovers: deque[HandoverSpan] = field(default_factory=deque[HandoverSpan])


class Meter:
    """Takes spans as they come, and forgets those that are older than the window. It learns the stages from them."""

    def __init__(self, *, window_s: float = _WINDOW_S) -> None:
        self._window_s = window_s
        self._stages: dict[int, _Stage] = {}
        self._start_s: float | None = None

    def take(self, segments: Sequence[SegmentSpan], handovers: Sequence[HandoverSpan]) -> None:
        """Spans that were reported since the last time."""
        for span in segments:
            self._start_s = span.start_s if self._start_s is None else min(self._start_s, span.start_s)
            stage = self._stages.setdefault(span.stage, _Stage())
            stage.done += 1
            stage.segments.append(span)
        for handover in handovers:
            stage = self._stages.setdefault(handover.receiver, _Stage())
            stage.handovers.append(handover)
            stage.senders.add(handover.sender)

    def figures(self, now_s: float) -> tuple[StageFigures, ...]:
        """All stages at a time of the spans' own clock."""
        begin_s = max(now_s - self._window_s, now_s if self._start_s is None else self._start_s)
        return tuple(self._figures(number, begin_s, now_s) for number in sorted(self._stages))

    def _figures(self, number: int, begin_s: float, now_s: float) -> StageFigures:
        stage, length_s = self._stages[number], max(now_s - begin_s, 1e-9)
        _forget(stage.segments, begin_s)
        _forget(stage.handovers, begin_s)
        busy_s = sum(span.end_s - max(span.start_s, begin_s) for span in stage.segments)
        held = [span.peak_bytes for span in stage.segments if span.peak_bytes is not None]
        senders = [self._stages[sender].done for sender in stage.senders if sender in self._stages]
        return StageFigures(
            stage=number,
            done=stage.done,
            waiting=max(0, min(senders) - stage.done) if senders else None,
            busy=busy_s / length_s,
            per_s=len(stage.segments) / length_s,
            median_s=median(span.end_s - span.start_s for span in stage.segments) if stage.segments else None,
            resident_bytes=max(held, default=None),
            bytes_per_s=sum(span.bytes for span in stage.handovers) / length_s,
        )


def _forget(spans: deque[SegmentSpan] | deque[HandoverSpan], begin_s: float) -> None:
    while spans and spans[0].end_s < begin_s:
        spans.popleft()
