"""Lying members of a run and lying stores: what they say is checked, and no word of theirs ends the run of others."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import nan
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("zmq")

from packages import small_package, stream
from partwise.digest import sha256_digest
from partwise.errors import PackageError, RunError
from partwise.packaging import Descriptor, Package
from partwise.runtime.executors import Options
from partwise.runtime.packet import Frame
from partwise.runtime.remote import wire
from partwise.runtime.remote.blobs import BlobCache
from partwise.runtime.remote.executor import Remote
from partwise.runtime.remote.inbox import Inbox
from partwise.runtime.remote.sources import HttpStore
from partwise.runtime.remote.worker import Worker
from partwise.runtime.schedule import Fault, Policy
from remote import Threads, start_executor

OPTIONS = Options(engine="null", threads=1, policy=Policy(tick_s=0.1, heartbeat_s=1.0, exclude_s=0.2))
Told = list[tuple[wire.Word, list[Frame]]]
Lie = Callable[[wire.Word, list[Frame], list[wire.Ready]], Told]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("members") / "package", "null")


def _with(frames: list[Frame], **fields: object) -> list[Frame]:
    """A packet with fields of its header changed."""
    return [msgspec.msgpack.encode(msgspec.msgpack.decode(frames[0]) | fields), *frames[1:]]


def _unasked(*words: Callable[[wire.Ready], wire.Word]) -> Lie:
    """Something that nobody asked for, before each answer."""
    return lambda said, frames, ready: [*((word(ready[0]), []) for word in words if ready), (said, frames)]


def _timed(start_s: float, end_s: float) -> Lie:
    def lie(said: wire.Word, frames: list[Frame], _: list[wire.Ready]) -> Told:
        assert isinstance(said, wire.Done)
        return [(msgspec.structs.replace(said, segment=replace_times(said, start_s, end_s), now_s=nan), frames)]

    return lie


def replace_times(done: wire.Done, start_s: float, end_s: float) -> object:
    return msgspec.structs.replace(done.segment, start_s=start_s, end_s=end_s)


REFUSED = wire.Refused(0, Fault.ERROR, "RunError", "worker", "would rather not")
LIES: dict[str, Lie] = {
    "ready for what it was not given": _unasked(lambda ready: msgspec.structs.replace(ready, stage=99)),
    "ready for a second time": _unasked(lambda ready: ready),
    "refuses what it was not given": _unasked(lambda _: msgspec.structs.replace(REFUSED, stage=99)),
    "refuses what it has": _unasked(lambda _: REFUSED),
    "asks for bytes before the first": _unasked(lambda _: wire.Ask("sha256:" + "0" * 64, -1)),
    "asks for bytes beyond all": _unasked(lambda _: wire.Ask("sha256:" + "0" * 64, 1 << 63)),
    "sends a blob that nobody wants": _unasked(lambda _: wire.Part("sha256:" + "0" * 64, 0, 1)),
    "says it twice": lambda said, frames, _: [(said, frames)] * 2,
    "took no time that there is": _timed(nan, nan),
    "took for ever": _timed(0.0, 1e300),
    "was done before it began": _timed(5.0, -5.0),
}
REPLACED: dict[str, Lie] = {
    "an answer of another run": lambda said, frames, _: [(said, _with(frames, run="0" * 32))],
    "an answer of another package": lambda said, frames, _: [(said, _with(frames, package="sha256:" + "0" * 64))],
    "another request's answer": lambda said, frames, _: [(said, _with(frames, request=10**6))],
    "another stage's answer": lambda said, frames, _: [(said, _with(frames, stage=99))],
    "an answer in another form": lambda said, frames, _: [(said, _with(frames, kind="work"))],
    "an answer to no ticket": lambda said, frames, _: [(msgspec.structs.replace(said, ticket=10**9), frames)],
    "a failure of no ticket": lambda _, __, ___: [(wire.Failed(10**9, Fault.FINAL), [])],
}


def answers(executor: Remote) -> list[bytes]:
    found = list(executor.run(stream(12)))  # type: ignore[arg-type]
    return [b"".join(value.tobytes() for value in answer.outputs.values()) for answer in found]


@pytest.fixture(scope="module")
def right(package: Package) -> list[bytes]:
    with start_executor("in-process", package, OPTIONS) as executor:
        return answers(executor)  # type: ignore[arg-type]


def _lying(monkeypatch: pytest.MonkeyPatch, lie: Lie, times: int) -> list[int]:
    """Workers that lie so many times with what they say when they are done."""
    told, ready, lied = Worker._tell, list[wire.Ready](), list[int]()  # pyright: ignore[reportPrivateUsage]

    def tell(self: Worker, said: wire.Word, frames: Sequence[Frame] = ()) -> None:
        ready.extend([said] if isinstance(said, wire.Ready) else [])
        if isinstance(said, wire.Done) and len(lied) < times:
            lied.append(1)
            for word, parts in lie(said, list(frames), ready):
                told(self, word, parts)
        else:
            told(self, said, frames)

    monkeypatch.setattr(Worker, "_tell", tell)
    return lied


@pytest.mark.parametrize("name", LIES)
def test_a_word_that_costs_nobody_anything(
    name: str, package: Package, right: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lied = _lying(monkeypatch, LIES[name], times=1000)
    with Remote(package, OPTIONS, Threads(2, tmp_path)) as executor:
        assert answers(executor) == right
        assert not executor.incidents
    assert lied


@pytest.mark.parametrize("name", REPLACED)
def test_an_answer_to_something_else_ends_its_worker(
    name: str, package: Package, right: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lying(monkeypatch, REPLACED[name], times=1)
    options = replace(
        OPTIONS, policy=Policy(tick_s=0.1, heartbeat_s=1.0, exclude_s=0.2, first_deadline_s=1.0, least_deadline_s=1.0)
    )
    with Remote(package, options, Threads(2, tmp_path)) as executor:
        assert answers(executor) == right
        assert {incident.what for incident in executor.incidents} & {"lied", "overdue"}


@pytest.mark.parametrize(
    "fields", [{"request": 10**6}, {"stage": 99}, {"run": "0" * 32}, {"tensors": []}, {"version": "partwise.packet/0"}]
)
def test_values_of_another_task_from_another_worker(
    fields: dict[str, object], package: Package, right: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names fit, the values are somebody else's: noticed at once by whoever asked, and asked for again."""
    answer, spoilt, asked = Inbox.answer, list[tuple[int, int]](), list[tuple[int, int]]()

    def lie(self: Inbox, number: int, request: int, stage: int, names: tuple[str, ...]) -> list[Frame]:
        head, *packet = answer(self, number, request, stage, names)
        asked.append((request, stage))
        if spoilt or not packet:
            return [head, *packet]
        spoilt.append((request, stage))
        return [head, *_with(packet, **fields)]

    monkeypatch.setattr(Inbox, "answer", lie)
    with Remote(package, OPTIONS, Threads(2, tmp_path)) as executor:
        assert answers(executor) == right
    assert asked.count(spoilt[0]) > 1


@pytest.mark.parametrize("offset", [-1, 1 << 63, -(1 << 62)])
def test_no_bytes_are_asked_for_before_the_first(offset: int) -> None:
    """A file cannot be read from there: the thread of all links would end with the error."""
    with pytest.raises(RunError, match="none of a member's"):
        wire.decode([memoryview(b"".join(map(bytes, wire.encode(wire.Ask("sha256:" + "0" * 64, offset)))))])


# Stores.

DATA = bytes(range(251)) * 20
BLOB = Descriptor(media_type="", digest=sha256_digest(DATA), size=len(DATA))


class _Answers(BaseHTTPRequestHandler):
    """Answers each request by a function of the handler."""

    how: Callable[[BaseHTTPRequestHandler], object]
    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        type(self).how(self)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def store(how: Callable[[BaseHTTPRequestHandler], object]) -> Generator[tuple[str, list[str]]]:
    seen = list[str]()
    kind = type("Answers", (_Answers,), {"how": staticmethod(how), "seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()


def _send(handler: BaseHTTPRequestHandler, data: bytes, code: int = 200, **headers: str) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def _to(place: str) -> Callable[[BaseHTTPRequestHandler], object]:
    return lambda handler: _send(handler, b"", 302, Location=place)


@pytest.mark.parametrize("scheme", ["http", "file", "ftp", "gopher"])
def test_a_store_sends_nobody_elsewhere(scheme: str, tmp_path: Path) -> None:
    """Not even to the right bytes: a store would choose what this machine reaches, behind its firewall too."""
    (tmp_path / "blob").write_bytes(DATA)
    with store(lambda handler: _send(handler, DATA)) as (inner, reached):
        place = {"http": f"{inner}/x", "file": f"file://{tmp_path}/blob", "ftp": inner.replace("http", "ftp")}
        with store(_to(place.get(scheme, "gopher://x/"))) as (outer, _), pytest.raises(PackageError):
            BlobCache(tmp_path / "cache").fetch(BLOB, [HttpStore(outer)])
    assert not reached


def test_a_store_may_move_a_blob_within_itself(tmp_path: Path) -> None:
    def moved(handler: BaseHTTPRequestHandler) -> None:
        _send(handler, DATA) if handler.path == "/moved" else _to("/moved")(handler)

    with store(moved) as (url, _):
        assert BlobCache(tmp_path).fetch(BLOB, [HttpStore(url)]) == (len(DATA), url)


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(1 << 16))
    except OSError:
        return


def _many_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    for number in range(200):
        handler.send_header(f"X-{number}", "x")
    handler.end_headers()
    handler.wfile.write(DATA)


HOSTILE: dict[str, Callable[[BaseHTTPRequestHandler], object]] = {
    "an endless body": _endless,
    "other bytes": lambda handler: _send(handler, bytes(len(DATA))),
    "a packed body": lambda handler: _send(handler, gzip.compress(bytes(1 << 24)), Content_Encoding="gzip"),
    "a length that is none": lambda handler: _send(handler, b"", Content_Length="-5"),
    "a lying length": lambda handler: _send(handler, DATA[:100], Content_Length=str(10**15)),
    "a loop": _to("/again"),
    "200 headers": _many_headers,
    "a header of 1 MB": lambda handler: _send(handler, DATA, X="x" * (1 << 20)),
    "no HTTP": lambda handler: handler.wfile.write(b"\0" * 100),
    "another part": lambda handler: _send(handler, DATA[5:], 206, Content_Range=f"bytes 5-{len(DATA)}/{len(DATA)}"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_stores(name: str, tmp_path: Path) -> None:
    """An error of ours, nothing kept under the digest, and no more read than the blob has."""
    cache = BlobCache(tmp_path)
    with store(HOSTILE[name]) as (url, _), pytest.raises(PackageError):
        cache.fetch(BLOB, [HttpStore(url)])
    assert not cache.path(BLOB.digest).exists()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= len(DATA)
