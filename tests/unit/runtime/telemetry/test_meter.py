"""Figures of a window, from spans whose times are known."""

from __future__ import annotations

from partwise.runtime.telemetry import Meter
from partwise.runtime.trace import HandoverSpan, SegmentSpan


def segment(request: int, stage: int, start_s: float, end_s: float) -> SegmentSpan:
    return SegmentSpan(
        request=request, stage=stage, start_s=start_s, end_s=end_s, input_bytes=0, output_bytes=0,
        peak_bytes=1000 + request,
    )  # fmt: skip


def handover(request: int, sender: int, receiver: int, end_s: float, size: int) -> HandoverSpan:
    return HandoverSpan(
        request=request, sender=sender, receiver=receiver, start_s=end_s, end_s=end_s, copy_s=0, bytes=size, values=1
    )


def test_the_figures_of_a_window() -> None:
    meter = Meter(window_s=4.0)
    meter.take(
        [segment(n, 0, n, n + 0.5) for n in range(8)] + [segment(0, 1, 1, 3)],
        [handover(n, -1, 0, n, 100) for n in range(8)] + [handover(0, 0, 1, 1, 7)],
    )
    first, second = meter.figures(8.0)
    assert (first.stage, first.done, first.waiting) == (0, 8, None)
    assert first.per_s == 4 / 4
    assert first.busy == 4 * 0.5 / 4
    assert first.median_s == 0.5
    assert first.resident_bytes == 1007
    assert first.bytes_per_s == 4 * 100 / 4
    assert (second.done, second.waiting, second.per_s, second.busy) == (1, 7, 0, 0)
    assert second.median_s is None
    assert second.bytes_per_s == 0


def test_a_run_younger_than_the_window_is_measured_by_its_age() -> None:
    meter = Meter(window_s=10.0)
    meter.take([segment(0, 0, 100.0, 100.5), segment(1, 0, 100.5, 101.0)], [])
    (only,) = meter.figures(101.0)
    assert only.per_s == 2
    assert only.busy == 1


def test_nothing_is_nothing() -> None:
    assert Meter().figures(5.0) == ()
