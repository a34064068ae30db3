"""A zip archive as torch writes it: every member stored as it is, none compressed, overlapping or named twice.

So a member is a span of the file, and an archive cannot grow beyond its own size when it is read.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO

from partwise.files import ZIP_FAULTS

__all__ = ["Broken", "Span", "StoredZip"]

_PIECE = 1 << 20
_LOCAL_HEADER = 30
"""Bytes of a member's own header before its name (APPNOTE.TXT 4.3.7)."""


class Broken(Exception):
    """A file that is not what it claims; the text says how."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes: a part of the file (data is None), or of a string."""

    offset: int
    size: int
    data: bytes | None = None


class StoredZip:
    """Members by name behind their common folder."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        """Read the table of contents.

        Raises:
            Broken: no zip archive, or members that overlap or repeat.
        """
        self._file, self._size = file, size
        try:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
        except ZIP_FAULTS as error:
            raise Broken(f"is a broken zip archive ({error})") from None
        self._infos = {info.filename.partition("/")[2]: info for info in infos}
        if len(self._infos) != len(infos) or sum(info.file_size for info in infos) > size:
            raise Broken("is an archive whose members overlap or repeat")

    @property
    def names(self) -> frozenset[str]:
        """Of all members."""
        return frozenset(self._infos)

    def span(self, name: str, size: int | None = None) -> Span:
        """Where a member lies, its checksum compared.

        Args:
            name: behind the common folder.
            size: the bytes that it must have; any by default.

        Raises:
            Broken: it is absent, compressed, damaged or of another size.
        """
        info = self._infos.get(name)
        if info is None or info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise Broken(f"lacks `{name[:80]}`, or has it compressed, which torch never does")
        if size is not None and info.file_size != size:
            raise Broken(f"has {info.file_size} bytes of `{name[:80]}`, which should have {size}")
        self._file.seek(info.header_offset)
        head = self._file.read(_LOCAL_HEADER)
        if len(head) != _LOCAL_HEADER or head[:4] != b"PK\x03\x04":
            raise Broken(f"has no member at the place of `{name[:80]}`")
        offset = info.header_offset + _LOCAL_HEADER + sum(struct.unpack("<HH", head[26:30]))
        if offset + info.file_size > self._size or self._checksum(offset, info.file_size) != info.CRC:
            raise Broken(f"has a damaged `{name[:80]}`")
        return Span(offset, info.file_size)

    def read(self, name: str, limit: int = 1 << 20) -> bytes:
        """A small member's bytes.

        Raises:
            Broken: as `span`, or more than `limit` bytes.
        """
        span = self.span(name)
        if span.size > limit:
            raise Broken(f"has {span.size} bytes of `{name[:80]}`; at most {limit} make sense")
        self._file.seek(span.offset)
        return self._file.read(span.size)

    def _checksum(self, offset: int, size: int) -> int:
        self._file.seek(offset)
        found = 0
        while size:
            piece = self._file.read(min(size, _PIECE))
            found, size = zlib.crc32(piece, found), size - len(piece) if piece else 0
        return found
