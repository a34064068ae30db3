"""`run --watch`: a table of the stages while they run. A terminal sees it change; anything else gets the last one."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from partwise.cli.tables import console
from partwise.runtime.telemetry import Meter, StageFigures
from partwise.runtime.trace import Trace
from partwise.units import format_bytes, format_seconds

__all__ = ["Watch", "stage_table", "watched"]

_EVERY_S = 0.25
_COLUMNS = ("stage", "done", "waiting", "busy", "per s", "task", "memory", "received")


class Watch:
    """What is shown: called with the run's progress, and asked for its picture by another thread."""

    def __init__(self, *, keep: bool) -> None:
        """keep: the whole trace is wanted afterwards; otherwise what has been counted is forgotten."""
        self.trace, self._keep = Trace(), keep
        self._meter = Meter()
        self._seen = (0, 0)
        self._done, self._total, self._what = 0, None, "start"
        self._start_s: float | None = None

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """The run's progress."""
        if what == "run requests" and self._start_s is None:
            self._start_s = time.monotonic()
        self._what, self._done, self._total = what, done, total

    def picture(self) -> Group:
        """The table as it is now."""
        self._count()
        now = time.monotonic()
        return Group(Text(self._line(now)), stage_table(self._meter.figures(now)))

    def _count(self) -> None:
        """Take what was reported since the last time. The run's thread only appends, so a length is a good bound."""
        segments, handovers = self._seen
        ends = len(self.trace.segments), len(self.trace.handovers)
        self._meter.take(self.trace.segments[segments : ends[0]], self.trace.handovers[handovers : ends[1]])
        if self._keep:
            self._seen = ends
        else:
            del self.trace.segments[: ends[0]], self.trace.handovers[: ends[1]], self.trace.nodes[:]

    def _line(self, now: float) -> str:
        of = "" if self._total is None else f" of {self._total}"
        if self._start_s is None or not self._done:
            return f"{self._what}: {self._done}{of}"
        rate = self._done / max(now - self._start_s, 1e-9)
        left = (
            ""
            if self._total is None or self._done == self._total
            else f", {format_seconds((self._total - self._done) / rate)} left"
        )
        return f"{self._what}: {self._done}{of}, {rate:.1f} a second{left}"


def stage_table(stages: Sequence[StageFigures]) -> Table:
    """Figures of stages, one line each."""
    made = Table(box=None, pad_edge=False)
    for column in _COLUMNS:
        made.add_column(column, justify="right")
    for one in stages:
        made.add_row(
            str(one.stage),
            str(one.done),
            "" if one.waiting is None else str(one.waiting),
            f"{one.busy:.0%}",
            f"{one.per_s:.1f}",
            "" if one.median_s is None else format_seconds(one.median_s),
            "" if one.resident_bytes is None else format_bytes(one.resident_bytes),
            f"{format_bytes(one.bytes_per_s)}/s",
        )
    return made


@contextmanager
def watched(*, keep: bool) -> Generator[Watch]:
    """Show a run while the block runs it."""
    watch = Watch(keep=keep)
    over = threading.Event()
    with Live(get_renderable=watch.picture, console=console(error=True), auto_refresh=False, transient=False) as live:

        def refresh() -> None:
            while not over.wait(_EVERY_S):
                live.refresh()

        shown = threading.Thread(target=refresh, daemon=True)
        shown.start()
        try:
            yield watch
        finally:
            over.set()
            shown.join()
            live.refresh()
