"""What the server counts, for Prometheus: a registry of its own, so that two servers in one process do not meet."""

from __future__ import annotations

from collections.abc import Callable

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from partwise.errors import PartwiseError
from partwise.runtime.governor import Sample
from partwise.runtime.schedule import Incident
from partwise.runtime.trace import Trace

__all__ = ["Metrics"]

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Figures of one server."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._requests = Counter("partwise_requests", "Requests to infer, by HTTP status.", ["code"], registry=registry)
        self._request_s = Histogram(
            "partwise_request_seconds", "From a request's body read to its answer encoded.", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._waited_s = Histogram(
            "partwise_wait_seconds", "From a request's arrival to its first stage's start.", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._stage_s = Histogram(
            "partwise_stage_seconds", "Computing one batch, by stage.", ["stage"], buckets=_SECONDS, registry=registry
        )
        self._handover_s = Histogram(
            "partwise_handover_seconds", "First byte written to last byte read; the caller is -1.",
            ["sender", "receiver"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._handover_bytes = Counter(
            "partwise_handover_bytes", "Sent from one stage to another; the caller is -1.", ["sender", "receiver"],
            registry=registry,
        )  # fmt: skip
        self._http_bytes = Counter("partwise_http_bytes", "Bodies, by direction.", ["direction"], registry=registry)
        self._rows = Histogram("partwise_batch_rows", "Rows run together.", buckets=_ROWS, registry=registry)
        self._incidents = Counter(
            "partwise_incidents", "What went wrong and was dealt with: lost, silent, failed, ...", ["what"],
            registry=registry,
        )  # fmt: skip
        self._restarts = Counter("partwise_restarts", "Executors that failed, by error.", ["error"], registry=registry)
        self._bus = Gauge(
            "partwise_bus_bytes_per_second", "The memory bus, and who measured it.", ["provider"], registry=registry
        )
        self._sample: Callable[[], Sample | None] = lambda: None
        self._reloads = Counter("partwise_reloads", "Configurations taken on.", registry=registry)

    def watch(
        self,
        *,
        waiting: Callable[[], int],
        underway: Callable[[], int],
        ready: Callable[[], bool],
        bus: Callable[[], Sample | None],
    ) -> None:
        """Figures that are asked for when the metrics are read."""
        self._sample = bus
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("partwise_queue", "Requests that wait.", waiting),
            ("partwise_in_flight", "Requests that are being computed.", underway),
            ("partwise_ready", "Whether requests are being computed: 1 or 0.", ready),
            ("partwise_resident_bytes", "Resident memory of the server and its workers together.", _resident_bytes),
        )
        for name, text, value in gauges:
            Gauge(name, text, registry=self.registry).set_function(value)

    def answered(self, rows: int) -> None:
        """See `setup.Observer`."""
        self._rows.observe(rows)

    def measured(self, trace: Trace) -> None:
        """See `setup.Observer`."""
        for span in trace.segments:
            self._stage_s.labels(span.stage).observe(span.end_s - span.start_s)
        for span in trace.handovers:
            labels = span.sender, span.receiver
            self._handover_s.labels(*labels).observe(span.end_s - span.start_s)
            self._handover_bytes.labels(*labels).inc(span.bytes)

    def incident(self, incident: Incident) -> None:
        """See `setup.Observer`."""
        self._incidents.labels(incident.what).inc()

    def restarted(self, error: PartwiseError) -> None:
        """See `setup.Observer`."""
        self._restarts.labels(type(error).__name__).inc()

    def reloaded(self) -> None:
        """A configuration was taken on."""
        self._reloads.inc()

    def request(self, code: int, seconds: float, waited_s: float | None, read: int, written: int) -> None:
        """A request was answered.

        Args:
            code: HTTP status.
            seconds: that it took.
            waited_s: of them until its first stage began; None where it never ran.
            read: bytes of its body.
            written: bytes of the answer's.
        """
        self._requests.labels(code).inc()
        self._request_s.observe(seconds)
        if waited_s is not None:
            self._waited_s.observe(waited_s)
        self._http_bytes.labels("in").inc(read)
        self._http_bytes.labels("out").inc(written)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        self._bus.clear()
        if (sample := self._sample()) is not None:
            self._bus.labels(sample.provider).set(sample.bytes_per_s)
        return generate_latest(self.registry)


def _resident_bytes() -> float:
    me = psutil.Process()
    total = me.memory_info().rss
    for child in me.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return total
