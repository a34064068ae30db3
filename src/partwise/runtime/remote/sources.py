"""Where a worker gets blobs by digest: a folder, an HTTP store, or the head of the run over its link.

A source is believed in nothing: `blobs` checks what comes against the digest.
"""

from __future__ import annotations

import http.client
import queue
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from partwise.digest import is_digest, sha256_digest
from partwise.errors import InputError, PackageError, PartwiseError
from partwise.packaging import Package, is_package, open_package
from partwise.packaging.files import MANIFEST_BYTES, MANIFEST_NAME, blob_path, segment_path
from partwise.packaging.manifest import manifest_to_bytes
from partwise.packaging.parse import manifest_from_bytes

__all__ = ["PART_BYTES", "BlobBook", "Folder", "HttpStore", "OverLink", "Source", "open_source", "refuse_odd"]

PART_BYTES = 1 << 20
"""Of a blob in one message or read (assumed: far above a round trip's cost, far below a worker's memory)."""
_AHEAD = 4
"""Parts asked for before the first has come: so many are under way at most."""
_PATIENCE_S = 30.0
"""How long a source may say nothing (assumed)."""


class Source(Protocol):
    """Has blobs."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def read(self, digest: str, offset: int, size: int) -> Iterator[bytes | memoryview]:
        """The bytes of a blob from an offset to its end.

        Raises:
            PackageError: it has no such blob, or breaks off.
        """
        ...


class BlobBook:
    """The blobs of a package by digest: weights, graphs, plan and manifest, and nothing else of the machine's files."""

    def __init__(self, package: Package) -> None:
        manifest, folder = package.manifest, package.path
        self._manifest = (package.digest, manifest_to_bytes(manifest))
        self._paths: dict[str, Path] = {}
        for descriptor in (manifest.plan, manifest.whole):
            self._paths[descriptor.digest] = blob_path(folder, descriptor.digest)
        self._paths[manifest.graph] = blob_path(folder, manifest.graph)
        for number, entry in enumerate(manifest.segments):
            self._paths[entry.graph.digest] = segment_path(folder, number, package.suffix)
            for weight in entry.weights:
                self._paths[weight.blob.digest] = blob_path(folder, weight.blob.digest)

    def part(self, digest: str, offset: int) -> tuple[bytes, int] | None:
        """Some bytes of a blob, and its size; None where there is no such blob."""
        if digest == self._manifest[0]:
            data = self._manifest[1]
            return data[offset : offset + PART_BYTES], len(data)
        path = self._paths.get(digest)
        if path is None or not path.is_file():
            return None
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(PART_BYTES), path.stat().st_size


class Folder:
    """A folder with `blobs/sha256/<hex>`, a package or any other."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._book = BlobBook(open_package(path)) if is_package(path) else None

    def read(self, digest: str, offset: int, size: int) -> Iterator[bytes]:
        while offset < size:
            found = self._part(digest, offset)
            if not found:
                raise PackageError(f"{self.name}, blob {digest}", "is not there, or is cut short")
            yield found
            offset += len(found)

    def _part(self, digest: str, offset: int) -> bytes | None:
        if self._book is not None and (found := self._book.part(digest, offset)) is not None:
            return found[0]
        try:
            with blob_path(self._path, digest).open("rb") as file:
                file.seek(offset)
                return file.read(PART_BYTES)
        except OSError:
            return None


class HttpStore:
    """`GET <url>/blobs/sha256/<hex>`, from an offset by a range request (RFC 9110, section 14).

    Where the URL is that of a package's folder, its manifest and its segments' graphs, which are no blobs there, are
    found by the manifest: so any file server that shows a package is a store of all of it.
    """

    def __init__(self, url: str) -> None:
        self.name = url.rstrip("/")
        self._files: dict[str, str] | None = None

    def read(self, digest: str, offset: int, size: int) -> Iterator[bytes]:
        if offset >= size:
            return  # a range from the end on is refused (RFC 9110, section 15.5.17)
        try:
            with self._find(digest, offset) as answer:
                skip = 0 if answer.status == http.client.PARTIAL_CONTENT else offset
                while skip:
                    skip -= len(answer.read(min(skip, PART_BYTES)) or _end(self.name))
                left = size - offset
                while left > 0:
                    piece = answer.read(min(left, PART_BYTES)) or _end(self.name)
                    left -= len(piece)
                    yield piece
        except urllib.error.HTTPError as error:
            error.close()
            raise PackageError(f"{self.name}, blob {digest}", f"cannot be fetched (HTTP {error.code})") from None
        except (OSError, http.client.HTTPException) as error:
            raise PackageError(f"{self.name}, blob {digest}", f"cannot be fetched ({error})") from None

    def _find(self, digest: str, offset: int) -> http.client.HTTPResponse:
        """The file with a digest: among the blobs, or else where the package has it."""
        try:
            return self._get(f"blobs/sha256/{digest.removeprefix('sha256:')}", offset)
        except urllib.error.HTTPError as error:
            if error.code != http.client.NOT_FOUND:
                raise
            missing = error
        place = self._package_files().get(digest)
        if place is None:
            raise missing
        missing.close()
        return self._get(place, offset)

    def _get(self, place: str, offset: int) -> http.client.HTTPResponse:
        request = urllib.request.Request(f"{self.name}/{place}", headers={"Range": f"bytes={offset}-"})
        return _OPENER.open(request, timeout=_PATIENCE_S)

    def _package_files(self) -> dict[str, str]:
        """Where a package has what is no blob, by digest; nothing where there is no package."""
        if self._files is None:
            try:
                with self._get(MANIFEST_NAME, 0) as answer:
                    data = answer.read(MANIFEST_BYTES + 1)
                manifest = manifest_from_bytes(data, f"{self.name}/{MANIFEST_NAME}")
            except (OSError, http.client.HTTPException, PartwiseError) as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                self._files = {}
                return self._files
            suffix = Package(Path(), manifest).suffix
            graphs = enumerate(entry.graph.digest for entry in manifest.segments)
            self._files = {digest: segment_path(Path(), n, suffix).as_posix() for n, digest in graphs}
            self._files[sha256_digest(data)] = MANIFEST_NAME
        return self._files


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a store to other places of its own, never elsewhere: it would choose what this machine reaches."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            fp.close()
            raise urllib.error.URLError(f"it sends on to another host, {new.scheme}://{new.netloc}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_SameHost)


class OverLink:
    """The head of the run. The link's thread hands in what comes; one blob is read at a time."""

    name = "the head"

    def __init__(self, ask: Callable[[str, int], None]) -> None:
        self._ask = ask
        self._come: queue.SimpleQueue[tuple[str, int, bytes | None]] = queue.SimpleQueue()

    def come(self, digest: str, offset: int, data: bytes | None) -> None:
        """A part has come; None: the head has no such blob."""
        self._come.put((digest, offset, data))

    def read(self, digest: str, offset: int, size: int) -> Iterator[bytes]:
        asked, parts = offset, dict[int, bytes]()
        while offset < size:
            while asked < min(size, offset + _AHEAD * PART_BYTES):
                self._ask(digest, asked)
                asked += PART_BYTES
            while offset not in parts:
                parts |= self._next(digest)
            data = parts.pop(offset)
            if len(data) != min(PART_BYTES, size - offset):
                raise PackageError(f"blob {digest}", "has another size at the head than promised")
            yield data
            offset += len(data)

    def _next(self, digest: str) -> dict[int, bytes]:
        try:
            found, offset, data = self._come.get(timeout=_PATIENCE_S)
        except queue.Empty:
            raise PackageError(f"blob {digest}", f"does not come: the head is silent for {_PATIENCE_S:g} s") from None
        if found != digest:
            return {}  # of a blob that was left halfway
        if data is None:
            raise PackageError(f"blob {digest}", "is not at the head")
        return {offset: data}


def open_source(text: str) -> Source:
    """A source by its address: an http(s) URL, or a folder.

    Raises:
        InputError: it is neither.
    """
    if urllib.parse.urlsplit(text).scheme in ("http", "https"):
        return HttpStore(text)
    if "://" in text:
        raise InputError(f"store `{text}`", "is none", expected="a folder, http:// or https://")
    path = Path(text)
    if not path.is_dir():
        raise InputError(f"store `{text}`", "is no folder")
    try:
        return Folder(path.resolve())
    except PartwiseError as error:
        raise InputError(f"store `{text}`", f"holds a broken package ({error})") from None


def refuse_odd(digest: str) -> None:
    """A digest becomes a file's name: it must be one.

    Raises:
        PackageError: it is none.
    """
    if not is_digest(digest):
        raise PackageError(f"blob `{digest[:80]}`", "has a digest that is none")


def _end(name: str) -> bytes:
    raise PackageError(name, "breaks off in the middle of a blob")
