"""Blobs: fetched by digest from anywhere, checked, resumed, kept, and never fetched twice."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from partwise.digest import sha256_digest
from partwise.errors import DigestMismatchError, InputError, PackageError
from partwise.packaging import Descriptor, open_package
from partwise.packaging.files import blob_path
from partwise.runtime.remote.blobs import BlobCache, KeptPackage
from partwise.runtime.remote.sources import PART_BYTES, BlobBook, Folder, HttpStore, OverLink, open_source
from tests.packages import small_package

DATA = bytes(range(251)) * 12_000  # three parts, the last one short
BLOB = Descriptor(media_type="", digest=sha256_digest(DATA), size=len(DATA))


class Flaky:
    """A source that breaks off, lies, or does as it should."""

    def __init__(self, data: bytes = DATA, *, most: int | None = None) -> None:
        self.name, self._data, self._most, self.asked = "flaky", data, most, list[int]()

    def read(self, digest: str, offset: int, size: int) -> Iterator[bytes]:
        del digest
        self.asked.append(offset)
        end = size if self._most is None else min(size, offset + self._most)
        for start in range(offset, end, PART_BYTES):
            yield self._data[start : min(start + PART_BYTES, end)]
        if end < size:
            raise PackageError("flaky", "breaks off")


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache")


def test_a_blob_is_fetched_once(cache: BlobCache) -> None:
    source = Flaky()
    assert cache.fetch(BLOB, [source]) == (len(DATA), "flaky")
    assert cache.fetch(BLOB, [source]) == (0, None)
    assert source.asked == [0]
    assert cache.path(BLOB.digest).read_bytes() == DATA


def test_a_fetch_that_broke_off_goes_on_where_it_was(cache: BlobCache) -> None:
    with pytest.raises(PackageError, match="breaks off"):
        cache.fetch(BLOB, [Flaky(most=PART_BYTES)])
    again = Flaky()
    assert cache.fetch(BLOB, [again]) == (len(DATA) - PART_BYTES, "flaky")
    assert again.asked == [PART_BYTES]
    assert cache.path(BLOB.digest).read_bytes() == DATA


def test_another_source_goes_on_where_the_first_broke_off(cache: BlobCache) -> None:
    second = Flaky()
    second.name = "second"
    assert cache.fetch(BLOB, [Flaky(most=2 * PART_BYTES), second])[1] == "second"
    assert second.asked == [2 * PART_BYTES]


def test_wrong_bytes_are_not_kept(cache: BlobCache) -> None:
    lie = DATA[:-1] + b"\0"
    with pytest.raises(DigestMismatchError, match="blob from flaky"):
        cache.fetch(BLOB, [Flaky(lie)])
    assert not cache.path(BLOB.digest).exists()
    assert cache.fetch(BLOB, [Flaky(lie), Flaky()]) == (len(DATA), "flaky")


def test_a_partial_file_that_was_damaged_is_begun_anew(cache: BlobCache) -> None:
    partial = cache.root / "partial" / cache.path(BLOB.digest).name
    partial.write_bytes(b"\xff" * PART_BYTES)
    source = Flaky()
    cache.fetch(BLOB, [source])
    assert source.asked == [PART_BYTES, 0]
    assert cache.path(BLOB.digest).read_bytes() == DATA


def test_a_partial_file_that_is_too_long_is_begun_anew(cache: BlobCache) -> None:
    (cache.root / "partial" / cache.path(BLOB.digest).name).write_bytes(DATA + b"more")
    cache.fetch(BLOB, [Flaky()])
    assert cache.path(BLOB.digest).read_bytes() == DATA


def test_two_at_once_fetch_once(cache: BlobCache) -> None:
    sources = [Flaky(), Flaky()]
    threads = [threading.Thread(target=cache.fetch, args=(BLOB, [source])) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(source.asked) for source in sources) == [0, 1]


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "md5:00", "sha256:" + "A" * 64, ""])
def test_a_digest_that_is_none_names_no_file(cache: BlobCache, digest: str) -> None:
    with pytest.raises(PackageError, match="digest that is none"):
        cache.fetch(Descriptor(media_type="", digest=digest, size=1), [Flaky()])


class Ranged(BaseHTTPRequestHandler):
    """A store that honours ranges."""

    def do_GET(self) -> None:
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if not self.path.endswith(BLOB.digest.removeprefix("sha256:")):
            self.send_error(404)
            return
        self.send_response(206)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        self.wfile.write(DATA[start:])

    def log_message(self, format: str, *args: object) -> None:
        pass


class Plain(SimpleHTTPRequestHandler):
    """One that does not know them."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def http(handler: object) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_over_http_from_an_offset(cache: BlobCache, tmp_path: Path) -> None:
    for folder, handler in ((tmp_path / "a", Ranged), (tmp_path / "b", Plain)):
        here = BlobCache(folder)
        partial = here.root / "partial" / here.path(BLOB.digest).name
        partial.write_bytes(DATA[:PART_BYTES])
        cache.path(BLOB.digest).write_bytes(DATA)
        served = functools.partial(handler, directory=str(cache.root)) if handler is Plain else handler
        with http(served) as url:
            source = open_source(url)
            assert isinstance(source, HttpStore)
            assert here.fetch(BLOB, [source])[0] == len(DATA) - PART_BYTES
            other = Descriptor(media_type="", digest="sha256:" + "0" * 64, size=5)
            with pytest.raises(PackageError, match="cannot be fetched"):
                here.fetch(other, [source])
        assert here.path(BLOB.digest).read_bytes() == DATA


def test_a_package_on_any_file_server_is_a_store_of_all_of_it(tmp_path: Path, cache: BlobCache) -> None:
    """Manifest and graphs too, which are no blobs in a package's folder; nobody else is asked."""
    package = small_package(tmp_path / "package", "null")
    found = BlobBook(package).part(package.digest, 0)
    assert found is not None
    manifest = Descriptor(media_type="", digest=package.digest, size=found[1])
    with http(functools.partial(Plain, directory=str(package.path))) as url:
        kept = KeptPackage(cache, manifest, [HttpStore(url)])
        assert [kept.prepare(stage).sources for stage in range(3)] == [(url,)] * 3
        with pytest.raises(PackageError, match="HTTP 404"):
            cache.fetch(BLOB, [HttpStore(url)])
    for stage in range(3):
        assert kept.package.segment(stage).graph == package.segment(stage).graph


def test_a_graph_that_a_file_server_has_changed_is_not_kept(tmp_path: Path, cache: BlobCache) -> None:
    package = small_package(tmp_path / "package", "null")
    found = BlobBook(package).part(package.digest, 0)
    assert found is not None
    manifest = Descriptor(media_type="", digest=package.digest, size=found[1])
    path = package.path / "segments" / "segment_1.json"
    path.write_bytes(path.read_bytes()[::-1])
    with http(functools.partial(Plain, directory=str(package.path))) as url:
        kept = KeptPackage(cache, manifest, [HttpStore(url)])
        with pytest.raises(DigestMismatchError, match="has other bytes than promised"):
            kept.prepare(1)
    assert not cache.path(package.manifest.segments[1].graph.digest).exists()


def test_a_whole_partial_file_asks_nobody(cache: BlobCache) -> None:
    """As it lies there when a worker dies between the last byte and the move: a server would refuse that range."""
    (cache.root / "partial" / cache.path(BLOB.digest).name).write_bytes(DATA)
    assert cache.fetch(BLOB, [HttpStore("http://127.0.0.1:9")]) == (0, "http://127.0.0.1:9")
    assert cache.path(BLOB.digest).read_bytes() == DATA


def test_a_store_that_is_none_is_refused(tmp_path: Path) -> None:
    for text in ("ftp://x", str(tmp_path / "nowhere")):
        with pytest.raises(InputError):
            open_source(text)


def test_over_a_link_several_parts_are_under_way(cache: BlobCache) -> None:
    asked = list[int]()

    def ask(digest: str, offset: int) -> None:
        asked.append(offset)
        over.come("sha256:other", 0, b"of a blob that was left halfway")
        over.come(digest, offset, DATA[offset : offset + PART_BYTES])

    over = OverLink(ask)
    assert cache.fetch(BLOB, [over]) == (len(DATA), "the head")
    assert asked == [0, PART_BYTES, 2 * PART_BYTES]


def test_the_head_gives_the_blobs_of_its_package_and_nothing_else(tmp_path: Path) -> None:
    package = small_package(tmp_path / "package", "null")
    book = BlobBook(package)
    weight = package.manifest.segments[0].weights[0].blob
    assert book.part(weight.digest, 0) == (blob_path(package.path, weight.digest).read_bytes(), weight.size)
    assert book.part(BLOB.digest, 0) is None
    assert book.part("sha256:../manifest.json", 0) is None


def test_a_worker_has_the_files_of_its_own_stages_alone(tmp_path: Path, cache: BlobCache) -> None:
    package = small_package(tmp_path / "package", "null")
    book = BlobBook(package)
    found = book.part(package.digest, 0)
    assert found is not None
    manifest = Descriptor(media_type="", digest=package.digest, size=found[1])
    kept = KeptPackage(cache, manifest, [Folder(package.path)])
    first = kept.prepare(1)
    assert first.fetched_bytes > 0
    assert kept.package.segment(1).weights.keys() == package.segment(1).weights.keys()
    with pytest.raises(PackageError):
        kept.package.segment(0)
    again = KeptPackage(cache, manifest, [])  # another start: nothing is asked of anyone
    assert (again.prepare(1).fetched_bytes, again.prepare(1).kept_bytes) == (0, first.fetched_bytes)


def test_a_kept_file_that_was_damaged_is_fetched_again(tmp_path: Path, cache: BlobCache) -> None:
    package = small_package(tmp_path / "package", "null")
    found = BlobBook(package).part(package.digest, 0)
    assert found is not None
    manifest = Descriptor(media_type="", digest=package.digest, size=found[1])
    kept = KeptPackage(cache, manifest, [Folder(package.path)])
    kept.prepare(0)
    assert not kept.heal(0)
    weight = package.manifest.segments[0].weights[0].blob
    cache.path(weight.digest).write_bytes(b"\0" * weight.size)
    assert kept.heal(0)
    assert kept.prepare(0).fetched_bytes == weight.size
    assert open_package(kept.package.path).segment(0).weights
