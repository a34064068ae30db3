"""The unpickler, and torch's two formats around it: the zip archive, and the stream of pickles before torch 1.6."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from typing import IO, Any

from partwise.frontends.untrusted import as_list
from partwise.frontends.weights.stored_zip import Broken, Span, StoredZip
from partwise.frontends.weights.unpickling.stand_ins import GLOBALS, Element, Refused, Storage

__all__ = ["Reader"]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""First two pickles of torch's older format (torch/serialization.py)."""
_MAX_REFUSED = 100


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
            self._file.seek(0)
            if self._file.read(4) != b"PK\x03\x04":  # torch looks at the beginning, and would read what stands there
                raise Broken("has something before its archive")
            return self._archive()
        self._file.seek(0)
        return self._stream(self._file, None)

    def _archive(self) -> Any:
        entries = StoredZip(self._file, self._size)
        _check_kind(entries)
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
        for key in as_list(keys):
            self._place(file, storages.get(str(key)), nested)
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
            case ("module", *_):
                return Refused  # a class with its source code (torch before 1.6); its name is noted already
            case _:
                raise Broken(f"holds a persistent id of no known kind: {str(pid)[:60]}")


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


def _check_kind(entries: StoredZip) -> None:
    if "constants.pkl" in entries.names or any(name.startswith("code/") for name in entries.names):
        raise Broken("is a TorchScript program, which is code; save the module's state_dict() instead")
    if "data.pkl" not in entries.names:
        exported = "models/model.json" in entries.names
        other = "a program of torch.export, read under the suffix .pt2" if exported else "a zip archive of another kind"
        raise Broken(f"is {other}; torch.save did not write it")
    if "byteorder" in entries.names and entries.read("byteorder") != b"little":
        raise Broken("was written on a big-endian machine")
