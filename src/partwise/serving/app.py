"""The routes. What they say is `kserve`'s, what computes is `feed`'s; here is HTTP alone.

GET  /health  /v2/health/live  /v2/health/ready      never need the key
GET  /metrics                                        Prometheus
GET  /v2  /v2/models/NAME[/versions/V][/ready]       metadata
POST /v2/models/NAME[/versions/V]/infer
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from partwise.errors import InputError, InterfaceMismatchError, PartwiseError
from partwise.packaging import Manifest
from partwise.runtime.telemetry.spans import RequestSpans
from partwise.serving.feed import Feed
from partwise.serving.jobs import BusyError, Served
from partwise.serving.kserve import decode_request, encode_response
from partwise.serving.metrics import Metrics
from partwise.units import whole_number

__all__ = ["Site", "make_app"]

_HEADER = "Inference-Header-Content-Length"
_FREE = frozenset({"/health", "/v2/health/live", "/v2/health/ready"})
_PATIENCE = 4
"""Times the limit of a body that is read of one that is too large (assumed)."""
_GONE = 499
"""For the metrics, as nginx counts them: the client has left before its body was here, and hears no answer."""
_LARGE_BYTES = 1 << 16
"""A body from which on it is read and written in another thread, so that others are not kept waiting (assumed)."""
_LOCAL_NAME = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?\Z", re.IGNORECASE)
Result = TypeVar("Result")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True, kw_only=True)
class Site:
    """What the routes need."""

    feed: Feed
    metrics: Metrics
    manifest: Manifest
    name: str
    version: str
    metadata: dict[str, object]
    key: str | None
    is_local: bool
    max_body_bytes: int
    timeout_s: float
    spans: RequestSpans | None = None


class _RefusedError(Exception):
    """A request that ends with a status of its own."""

    def __init__(self, code: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.headers = code, headers


def make_app(site: Site) -> FastAPI:
    """The application of a site."""
    app = FastAPI(title="partwise", docs_url=None, redoc_url=None, openapi_url=None)
    routes = _Routes(site)
    for path, method, handler in routes.table():
        methods = ["GET", "HEAD"] if method == "GET" else [method]
        app.add_api_route(path, handler, methods=methods, response_model=None)
    app.add_exception_handler(HTTPException, _http_error)
    app.middleware("http")(_guard(site))
    app.add_middleware(_Unfinished)
    return app


class _Unfinished:
    """Answers a request that is cut off when the server ends; uvicorn would call it a fault of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if begun:
                raise
            await _json({"error": "the server ended before this request was answered"}, 503)(scope, receive, send)


class _Routes:
    def __init__(self, site: Site) -> None:
        self._site = site

    def table(self) -> list[tuple[str, str, Handler]]:
        """Path, method and handler of each route."""
        model = "/v2/models/{model}"
        found: list[tuple[str, str, Handler]] = [
            ("/health", "GET", self.health),
            ("/v2/health/live", "GET", self.live),
            ("/v2/health/ready", "GET", self.ready),
            ("/metrics", "GET", self.metrics),
            ("/v2", "GET", self.server),
        ]
        for prefix in (model, model + "/versions/{version}"):
            found += [
                (prefix, "GET", self.model),
                (prefix + "/ready", "GET", self.model_ready),
                (prefix + "/infer", "POST", self.infer),
            ]
        return found

    async def health(self, request: Request) -> Response:
        del request
        ready = self._site.feed.ready.is_set()
        return _json({"status": "ready" if ready else "starting"}, 200 if ready else 503)

    async def live(self, request: Request) -> Response:
        del request
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        del request
        ready = self._site.feed.ready.is_set()
        return _json({"ready": ready}, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        del request
        text = await run_in_threadpool(self._site.metrics.text)  # it looks through all processes of the machine
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def server(self, request: Request) -> Response:
        del request
        return _json({"name": "partwise", "version": "2", "extensions": ["binary_tensor_data"]})

    async def model(self, request: Request) -> Response:
        self._check_model(request)
        return _json(self._site.metadata)

    async def model_ready(self, request: Request) -> Response:
        self._check_model(request)
        ready = self._site.feed.ready.is_set()
        return _json({"name": self._site.name, "ready": ready}, 200 if ready else 503)

    async def infer(self, request: Request) -> Response:
        """One inference; whatever happens is counted."""
        start, read, waited_s = time.monotonic(), 0, None
        try:
            self._check_model(request)
            body = await _in_time(_read(request, self._site.max_body_bytes), self._site.timeout_s, 408)
            read = len(body)
            response, served = await self._infer(request, body)
            waited_s = served.waited_s
            self._export(request, served, start)
        except _RefusedError as refused:
            response = _json({"error": str(refused)}, refused.code, refused.headers)
        except PartwiseError as error:
            response = _refusal(error)
        except ClientDisconnect:
            response = _json({"error": "the client has left"}, _GONE)
        self._site.metrics.request(
            response.status_code, time.monotonic() - start, waited_s, read, len(bytes(response.body))
        )
        return response

    async def _infer(self, request: Request, body: bytes) -> tuple[Response, Served]:
        site = self._site
        asked = await _aside(len(body), lambda: decode_request(body, _header_bytes(request), site.manifest))
        job = site.feed.submit(asked.values)
        served = await _in_time(asyncio.wrap_future(job.future), site.timeout_s, 504)
        size = sum(value.nbytes for value in served.outputs.values())
        content, header = await _aside(size, lambda: encode_response(asked, served.outputs, self._head(served)))
        if header is None:
            return Response(content, media_type="application/json"), served
        return Response(content, headers={_HEADER: str(header)}, media_type="application/octet-stream"), served

    def _export(self, request: Request, served: Served, start: float) -> None:
        """Its spans, where they are wanted; a few dozen microseconds each."""
        if self._site.spans is not None:
            told = {"partwise.model": self._site.name, "partwise.version": self._site.version,
                    "partwise.batch": served.batch, "partwise.batch_rows": served.rows}  # fmt: skip
            above = request.headers.get("traceparent", "")
            self._site.spans.export(
                start, time.monotonic(), served.segments, served.handovers, traceparent=above, attributes=told
            )

    def _head(self, served: Served) -> dict[str, object]:
        """What stands before the outputs: at which batch they were computed, and where this request was in it."""
        where = {"batch": served.batch, "batch_row": served.row, "batch_rows": served.rows}
        return {"model_name": self._site.name, "model_version": self._site.version, "parameters": where}

    def _check_model(self, request: Request) -> None:
        site, asked = self._site, request.path_params
        if asked["model"] != site.name:
            raise HTTPException(404, f"model `{asked['model']}` is unknown; this server has `{site.name}`")
        if asked.get("version", site.version) != site.version:
            raise HTTPException(404, f"version `{asked['version']}` is unknown; this server has `{site.version}`")


def _guard(site: Site) -> Callable[[Request, Handler], Awaitable[Response]]:
    """Let nobody in without the key, but to what says that the server lives.

    A page in a browser that has made its own name lead to this machine (DNS rebinding) is no local caller.
    """
    wanted = None if site.key is None else f"Bearer {site.key}".encode()

    async def guard(request: Request, call_next: Handler) -> Response:
        given = request.headers.get("authorization", "").encode()
        if "transfer-encoding" in request.headers and "content-length" in request.headers:
            what = "the body's length is told in two ways"  # RFC 9112, section 6.1: and the connection must end
            return _json({"error": what}, 400, {"Connection": "close"})
        if site.is_local and not _LOCAL_NAME.match(request.headers.get("host", "")):
            return _json({"error": "this server answers to names of its own machine alone"}, 400)
        path = request.scope["path"]  # what is routed by; `request.url` is put together with what the Host header says
        if wanted is not None and path not in _FREE and not hmac.compare_digest(given, wanted):
            return _json({"error": "a key is needed: Authorization: Bearer KEY"}, 401, {"WWW-Authenticate": "Bearer"})
        return await call_next(request)

    return guard


async def _in_time(work: Awaitable[Result], limit_s: float, code: int) -> Result:
    try:
        return await asyncio.wait_for(work, limit_s)
    except TimeoutError:
        what = "no answer" if code == 504 else "the body is not here"
        raise _RefusedError(code, f"{what} within {limit_s:g} s") from None


async def _read(request: Request, limit: int) -> bytes:
    """The body, no more than `limit` bytes of it ever held.

    What is too large is read on for a while before it is refused: most clients hear nothing before they have sent all.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise _RefusedError(415, "compressed bodies are not taken")
    told = whole_number(request.headers.get("content-length", "0"))  # None: digits beyond all sizes, h11 has seen to it
    patience = limit if "expect" in request.headers else _PATIENCE * limit  # who asks beforehand hears it at once
    parts, size = list[bytes](), 0
    if told is not None and told <= patience:
        async for part in request.stream():
            size += len(part)
            if size > patience:
                break
            if size > limit:
                parts.clear()
            else:
                parts.append(part)
    if told is None or max(told, size) > limit:
        raise _RefusedError(413, f"the body is too large; expected at most {limit} bytes", {"Connection": "close"})
    return b"".join(parts)


def _header_bytes(request: Request) -> int | None:
    told = request.headers.get(_HEADER)
    if told is None:
        return None
    if (size := whole_number(told)) is None:
        raise InputError(_HEADER, "is no number", got=told[:40])
    return size


async def _aside(size: int, work: Callable[[], Any]) -> Any:
    """Do small work at once, and large work in another thread."""
    return await run_in_threadpool(work) if size > _LARGE_BYTES else work()


def _refusal(error: PartwiseError) -> Response:
    match error:
        case BusyError():
            return _json({"error": str(error)}, 503, {"Retry-After": "1"})
        case InputError() | InterfaceMismatchError():
            return _json({"error": str(error)}, 400)
        case _:
            return _json({"error": str(error)}, 500)


async def _http_error(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    return _json({"error": str(error.detail)}, error.status_code)


def _json(data: object, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(data), code, headers, "application/json")
