"""The unpickler, and torch's two formats around it: the zip archive, and the stream of pickles before torch 1.6."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from typing import IO, Any

from partwise.frontends.weights.unpickling.stand_ins import GLOBALS, Broken, Element, Refused, Span, Storage

__all__ = ["Reader"]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""First two pickles of torch's older format (torch/serialization.py)."""
_MAX_REFUSED = 100
_MAX_NESTED_BYTES = 1 << 40
_PIECE = 1 << 20


class Reader:
    """Reads one file; `refused` names the globals outside the table."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        self.refused: dict[str, None] = {}

    def read(self) -> Any:
        """The object in the file, made of plain data and stand-ins.

        Raises:
            Broken: neither format, or a part that lies about its size or place.
        """
        if zipfile.is_zipfile(self._file):
            return self._archive()
        self._file.seek(0)
        return self._stream(self._file, None)

    def _archive(self) -> Any:
        entries = _Entries(self._file, self._size)
        storages: dict[str, Storage] = {}

        def find(kind: Element, key: str, count: int) -> Storage:
            if key not in storages:
                storages[key] = Storage(kind, count, entries.span(f"data/{key}", count * kind.size))
            return storages[key]

        span = entries.span("data.pkl")
        self._file.seek(span.offset)
        return _Unpickler(io.BytesIO(self._file.read(span.size)), self, find).load()

    def _stream(self, file: IO[bytes], nested: bytes | None) -> Any:
        """A plain pickle, or torch's older format: magic, protocol, system, object, keys, then the storages."""
        storages: dict[str, Storage] = {}

        def find(kind: Element, key: str, count: int) -> Storage:
            return storages.setdefault(key, Storage(kind, count))

        first = self._load(file, find)
        if first != _MAGIC:
            return first
        if self._load(file, find) != _PROTOCOL or self._load(file, find).get("little_endian") is not True:
            raise Broken("is in torch's older format, of an unknown version or byte order")
        result, keys = self._load(file, find), self._load(file, find)
        for key in keys if isinstance(keys, list) else ():  # pyright: ignore[reportUnknownVariableType]
            self._place(file, storages.get(str(key)), nested)  # pyright: ignore[reportUnknownArgumentType]
        return result

    def _load(self, file: IO[bytes], find: Any) -> Any:
        return _Unpickler(file, self, find).load()

    def _place(self, file: IO[bytes], storage: Storage | None, nested: bytes | None) -> None:
        """Learn where a storage lies: 8 bytes of count, then its elements."""
        head = file.read(8)
        if storage is None or storage.element is None or head != struct.pack("<q", storage.count):
            raise Broken("has a storage that nothing names, or of another size")
        size, offset = storage.count * storage.element.size, file.tell()
        if offset + size > (self._size if nested is None else len(nested)):
            raise Broken("ends before its last storage")
        storage.span = Span(offset, size, nested)
        file.seek(offset + size)

    def nested(self, data: Any) -> Any:
        """`torch.storage._load_from_bytes`: a storage within a plain pickle, as a file of the older format."""
        if not isinstance(data, bytes):
            raise Broken("holds a nested storage that is no bytes")
        return self._stream(io.BytesIO(data), data)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], reader: Reader, find: Any) -> None:
        super().__init__(file, encoding="latin1")
        self._reader, self._find_storage = reader, find

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        name = f"{module_name}.{global_name}"
        if name == "torch.storage._load_from_bytes":
            return self._reader.nested
        if name not in GLOBALS and len(self._reader.refused) < _MAX_REFUSED:
            self._reader.refused[name[:200]] = None
        return GLOBALS.get(name, Refused)

    def persistent_load(self, pid: Any, /) -> Any:
        match pid:
            case ("storage", Element() as kind, str(key), _, int(count), *rest) if count >= 0:
                storage = self._find_storage(kind, key, count)
                return _shifted(storage, rest[0]) if rest and rest[0] is not None else storage
            case ("storage", *_):
                return Refused()  # of a kind outside the table, which is noted already
            case _:
                self._reader.refused[f"persistent id {str(pid)[:60]}"] = None
                return Refused()


def _shifted(storage: Storage, view: Any) -> Any:
    """A storage that is a part of another (torch before 0.4): (key, offset, count)."""
    match view:
        case (_, int(offset), int(count)) if offset >= 0 and offset + count <= storage.count:
            return _View(storage, offset)
        case _:
            raise Broken("holds a storage view outside its storage")


class _View(Storage):
    """A storage that starts further on in another, whose place may still be unknown."""

    __slots__ = ("_of",)

    def __init__(self, of: Storage, offset: int) -> None:
        super().__init__(of.element, of.count, None, of.shift + offset)
        self._of = of

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "_of").span if name == "span" else object.__getattribute__(self, name)


class _Entries:
    """The members of a zip archive by name behind their common folder, none of them compressed or overlapping."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        try:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
            raise Broken(f"is a broken zip archive ({error})") from None
        self._infos = {info.filename.partition("/")[2]: info for info in infos}
        if len(self._infos) != len(infos) or sum(info.file_size for info in infos) > size:
            raise Broken("is an archive whose members overlap or repeat")
        self._check_kind()

    def _check_kind(self) -> None:
        if "constants.pkl" in self._infos or any(name.startswith("code/") for name in self._infos):
            raise Broken("is a TorchScript program, which is code; save the module's state_dict() instead")
        if "data.pkl" not in self._infos:
            raise Broken("is a zip archive that torch.save did not write")
        if "byteorder" in self._infos:
            span = self.span("byteorder")
            self._file.seek(span.offset)
            if self._file.read(span.size) != b"little":
                raise Broken("was written on a big-endian machine")

    def span(self, name: str, size: int | None = None) -> Span:
        """Where a member lies, its checksum compared.

        Args:
            name: behind the common folder.
            size: the bytes that it must have; any by default.
        """
        info = self._infos.get(name)
        if info is None or info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise Broken(f"lacks `{name[:80]}`, or has it compressed, which torch.save never does")
        if size is not None and info.file_size != size:
            raise Broken(f"has {info.file_size} bytes of `{name[:80]}`, which should have {size}")
        self._file.seek(info.header_offset)
        head = self._file.read(30)
        if len(head) != 30 or head[:4] != b"PK\x03\x04":
            raise Broken(f"has no member at the place of `{name[:80]}`")
        offset = info.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
        if offset + info.file_size > self._size or self._checksum(offset, info.file_size) != info.CRC:
            raise Broken(f"has a damaged `{name[:80]}`")
        return Span(offset, info.file_size)

    def _checksum(self, offset: int, size: int) -> int:
        self._file.seek(offset)
        found = 0
        while size:
            piece = self._file.read(min(size, _PIECE))
            found, size = zlib.crc32(piece, found), size - len(piece) if piece else 0
        return found
