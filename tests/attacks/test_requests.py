"""Hostile clients of `serve`: past the key, with lying sizes, and with patience."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("fastapi")

import uvicorn

from packages import small_package
from partwise.errors import PartwiseError
from partwise.packaging import Manifest
from partwise.serving.app import Site, make_app
from partwise.serving.kserve import decode_request
from partwise.serving.metrics import Metrics
from partwise.serving.patience import PatientProtocol

KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return small_package(tmp_path_factory.mktemp("serve") / "package", "null").manifest


def site(manifest: Manifest) -> Site:
    """Reachable from elsewhere, so that a key is asked for; nothing computes behind it."""
    feed = cast(Any, SimpleNamespace(ready=SimpleNamespace(is_set=lambda: True)))
    return Site(
        feed=feed, metrics=Metrics(), manifest=manifest, name="m", version="1", metadata={"secret": 1}, key=KEY,
        is_local=False, max_body_bytes=1 << 16, timeout_s=1.0,
    )  # fmt: skip


async def _status(app: Any, path: str, headers: list[tuple[bytes, bytes]]) -> int:
    """Of a request just as it stands, which no client library would send."""
    found = list[int]()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": headers, "scheme": "http", "http_version": "1.1", "root_path": "", "server": ("x", 80),
             "client": ("y", 1)}  # fmt: skip
    await app(scope, receive, send)
    return found[0]


@pytest.mark.parametrize(
    "path", ["/v2/models/m", "/metrics", "/v2", "//health", "/health/", "/v2/models/m/../../health"]
)
@pytest.mark.parametrize(
    "host",
    [b"x", b"x/health?", b"x/health#", b"/health?", b"x:80/v2/health/live?", b"[::1]/health?", b"", b"\xff/health?"],
)
def test_no_host_header_opens_the_door(host: bytes, path: str, manifest: Manifest) -> None:
    """What the client says the server is called must not become the path that is judged."""
    app = make_app(site(manifest))
    assert asyncio.run(_status(app, path, [(b"host", host)])) == 401
    for wrong in (b"Bearer ", b"Bearer " + KEY[:-1].encode(), b"bearer " + KEY.encode(), b"Bearer \xff", KEY.encode()):
        assert asyncio.run(_status(app, path, [(b"host", host), (b"authorization", wrong)])) == 401


def test_the_key_and_the_way_without_it(manifest: Manifest) -> None:
    app = make_app(site(manifest))
    assert asyncio.run(_status(app, "/health", [])) == 200
    assert asyncio.run(_status(app, "/v2/models/m", [(b"authorization", f"Bearer {KEY}".encode())])) == 200


def test_who_is_cut_off_by_the_end_hears_why(manifest: Manifest) -> None:
    """As uvicorn does it to requests that are not answered within `--drain`: their tasks are cancelled."""
    app, sent = make_app(site(manifest)), list[dict[str, Any]]()
    scope = {"type": "http", "method": "POST", "path": "/v2/models/m/infer", "query_string": b"", "headers":
             [(b"authorization", f"Bearer {KEY}".encode())], "http_version": "1.1", "server": ("x", 80)}  # fmt: skip

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def cut_off() -> None:
        task = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    asyncio.run(cut_off())
    assert [message.get("status") for message in sent] == [503, None]
    assert b"the server ended before" in sent[1]["body"]


def body(rest: bytes = b"", **tensor: object) -> tuple[bytes, int]:
    told = {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}} | tensor
    header = json.dumps({"inputs": [told]}).encode()
    return header + rest, len(header)


X = np.ones((1, 4), np.float32).tobytes()
LIES: dict[str, tuple[bytes, int | None]] = {
    "a size with a point": body(X, parameters={"binary_data_size": 16.0}),
    "a size that is true": body(X[:4], shape=[1], parameters={"binary_data_size": True}),
    "a size beyond all": body(X, parameters={"binary_data_size": 10**30}),
    "no elements of an absurd shape": body(shape=[0, 2**62, 2**62], parameters={"binary_data_size": 0}),
    "the same in JSON": body(shape=[0, 2**62, 2**62], parameters={}, data=[]),
    "a size of more than 64 bits": body(shape=[0, 10**40], parameters={}, data=[]),
    "depth": (b'{"inputs":' + b"[" * 100_000, None),
    "depth of data": (
        b'{"inputs":[{"name":"x","shape":[4],"datatype":"FP32","data":' + b"[" * 900 + b"]" * 900 + b"}]}", None
    ),
    "bytes of a tensor that has none": body(X + X),
    "a header that ends in the middle": (body(X)[0], 9),
    "NaN": (b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[NaN]}]}', None),
    "numbers of 5,000 digits": (
        b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[' + b"9" * 5000 + b"]}]}", None
    ),
    "a name of others": body(X, name="x\0"),
    "no UTF-8": (b'{"inputs":[{"name":"\xff"}]}', None),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_lying_bodies(name: str, manifest: Manifest) -> None:
    """Each a refusal of ours, which becomes 400; anything else would be a fault of the server's."""
    with pytest.raises(PartwiseError):
        decode_request(*LIES[name], manifest)


@contextmanager
def listening(manifest: Manifest, most: int) -> Generator[int]:
    """A server in a thread; the port."""
    config = uvicorn.Config(
        make_app(site(manifest)), http=PatientProtocol, ws="none", lifespan="off", log_level="critical", port=0,
        limit_concurrency=most, timeout_keep_alive=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


def _says(connection: socket.socket, until: bytes | None = None) -> bytes:
    """What comes until the server closes, or until it has said something."""
    connection.settimeout(5)
    said = b""
    with suppress(ConnectionError):
        while (until is None or until not in said) and (piece := connection.recv(4096)):
            said += piece
    return said


def test_who_says_nothing_keeps_no_place(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many connections as the server takes: silent, half a head, half a head after an honest request."""
    monkeypatch.setattr(PatientProtocol, "head_s", 0.3)
    with listening(manifest, most=6) as port, ExitStack() as opened:
        starts = [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nhost: x\r\n", b"POST / HTTP/1.1\r\nhost: x\r\nx: "]
        slow = [opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(5)]
        for connection, start in zip(slow, starts, strict=False):
            connection.sendall(start)
        slow[4].sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert _says(slow[4], b"}").startswith(b"HTTP/1.1 200")
        slow[4].sendall(b"GET /hea")
        assert all(_says(connection) == b"" for connection in slow), "closed by the server"
        with socket.create_connection(("127.0.0.1", port)) as honest:
            honest.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert _says(honest, b"}").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 4\r\ntransfer-encoding: chunked\r\n",
        b"content-length: 4\r\ncontent-length: 5\r\n",
        b"content-length: -1\r\n",
        b"content-length: 0x4\r\n",
        b"content-length: +4\r\n",
        b"transfer-encoding: identity, chunked\r\n",
        b"transfer-encoding : chunked\r\n",
        b" content-length: 4\r\n",
        b"x: a\0b\r\n",
    ],
)
def test_no_second_request_hides_in_a_first(head: bytes, manifest: Manifest) -> None:
    """A body whose end two readers see at two places: one answer at most, and it is a refusal."""
    hidden = b"GET /v2/models/m HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + KEY.encode() + b"\r\n\r\n"
    with listening(manifest, most=9) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /health HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n0\r\n\r\n" + hidden)
        said = _says(connection)
        assert said.startswith(b"HTTP/1.1 4")
        assert b"secret" not in said
