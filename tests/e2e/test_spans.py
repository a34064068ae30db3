"""OpenTelemetry spans, as a collector receives them: a server of OTLP over HTTP, and its own decoder."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("tritonclient.http")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.command import said
from tests.packages import example, small_package
from tests.serving import client, inputs_of, serving

from partwise.cli.run import run
from partwise.errors import InputError
from partwise.runtime import run_package
from partwise.runtime.telemetry.spans import RequestSpans

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Collector:
    url: str = ""
    spans: list[Any] = field(default_factory=list[Any])
    services: set[str] = field(default_factory=set[str])

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]


@pytest.fixture
def collector() -> Generator[Collector]:
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


def assert_one_request(spans: list[Any], parent: str) -> None:
    """A tree of one request: its span, three stages and the hand-overs to them."""
    (root,) = [span for span in spans if span.name == "infer"]
    assert root.trace_id.hex() == parent.split("-")[1]
    assert root.parent_span_id.hex() == parent.split("-")[2]
    children = [span for span in spans if span is not root]
    assert sorted(span.name for span in children if " to " not in span.name) == ["stage 0", "stage 1", "stage 2"]
    assert "stage 0 to stage 1" in {span.name for span in children}
    for span in children:
        assert span.trace_id == root.trace_id
        assert span.parent_span_id == root.span_id
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    assert abs(root.end_time_unix_nano / 1e9 - time.time()) < 60


def test_a_served_request_is_a_tree_under_its_callers_span(collector: Collector, tmp_path: Path) -> None:
    package = small_package(tmp_path / "package", "null")
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "the-test"}
    with serving(package, "--executor", "in-process", env=env) as server, client(server) as talking:
        talking.infer(server.model, inputs_of(example()), headers={"traceparent": PARENT})
        talking.infer(server.model, inputs_of(example()))
    assert collector.services == {"the-test"}
    mine = [span for span in collector.spans if span.trace_id.hex() in PARENT]
    assert_one_request(mine, PARENT)
    assert len(collector.spans) == 2 * len(mine)


def test_a_run_exports_each_request(collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
    monkeypatch.setenv("TRACEPARENT", PARENT)
    run_package(small_package(tmp_path / "package", "null"), example(), save=False)
    assert_one_request(collector.spans, PARENT)


def test_who_watches_takes_no_span_away(collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The live table forgets what it has counted, unless somebody else wants it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
    path, words = small_package(tmp_path / "package", "null").path, ["--executor", "in-process", "--watch"]
    said(run, path, "--run-dir", tmp_path / "run", *words)
    assert len([span for span in collector.spans if span.name == "stage 2"]) == 1


def test_nothing_is_exported_unless_it_is_asked_for() -> None:
    assert RequestSpans.from_environment({}) is None
    assert RequestSpans.from_environment({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "x"}) is None
    assert RequestSpans.from_environment({"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "console"}) is None
    with pytest.raises(InputError, match="otlp, console or none"):
        RequestSpans.from_environment({"OTEL_TRACES_EXPORTER": "zipkin"})
