"""`proofs.zip`: a manifest, the proofs, and the keys that the manifest pins; read from anywhere without belief.

manifest.json            the manifest of proofs
proofs.json              {"not_proved": [numbers], "divided": [places]}
proofs/segment_<n>       one proof a segment, numbered with pieces in the place of what was divided
keys/<sha256>            settings and verifying keys by digest
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from partwise.digest import canonical_json, sha256_digest
from partwise.errors import InputError
from partwise.files import ZIP_FAULTS, write_whole
from partwise.strict_json import SharedInt, json_record
from partwise.verification.zk.pieces import Place

__all__ = ["Bundle", "read_bundle", "write_bundle"]

_MANIFEST, _INDEX = "manifest.json", "proofs.json"
_PROOF = re.compile(r"proofs/segment_(0|[1-9][0-9]{0,6})\Z")
_KEY = re.compile(r"keys/([0-9a-f]{64})\Z")
_MOST_BYTES = 1 << 28
"""Of one entry. The largest verifying key measured has 142 kB; settings and proofs are smaller."""
_MOST_BYTES_IN_ALL = 1 << 30
_MOST_ENTRIES = 100_000
_END_BYTES = 22
"""Of a zip archive's last record without a comment. **Source**: APPNOTE.TXT, section 4.3.16."""
_DATE = (1980, 1, 1, 0, 0, 0)


class _Index(msgspec.Struct, forbid_unknown_fields=True):
    not_proved: list[SharedInt]
    divided: list[tuple[SharedInt, ...]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a file of proofs holds."""

    manifest: bytes
    not_proved: frozenset[int]
    """Segments that the prover itself says it did not prove."""
    proofs: Mapping[int, bytes]
    keys: Mapping[str, bytes]
    """By the digest of their bytes, as computed here."""
    divided: frozenset[Place] = frozenset()
    """Places whose pieces are proved in their stead."""
    problems: tuple[str, ...] = ()
    """What no honest prover writes: entries twice, unknown, or absurdly large."""


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a file of proofs, whole or not at all: equal bundles, equal bytes.

    Raises:
        InputError: the folder does not exist or the disk refuses.
    """
    memory = io.BytesIO()
    index = {"not_proved": sorted(bundle.not_proved), "divided": sorted(map(list, bundle.divided))}
    entries = {_MANIFEST: bundle.manifest, _INDEX: canonical_json(index)}
    entries |= {f"proofs/segment_{number}": proof for number, proof in sorted(bundle.proofs.items())}
    entries |= {f"keys/{digest.removeprefix('sha256:')}": data for digest, data in sorted(bundle.keys.items())}
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
    write_whole(path, memory.getvalue())


def read_bundle(path: Path) -> Bundle:
    """A file of proofs from anywhere. Names in it choose nothing on disk; what is wrong with it is in `problems`.

    Raises:
        InputError: it cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror or error})") from None
    try:
        with file, zipfile.ZipFile(file) as archive:
            problems = list(_strays(file, archive))
            read = _members(archive)
    except _BrokenError as error:
        return _broken(str(error))
    except ZIP_FAULTS as error:
        return _broken(f"the archive is broken ({str(error)[:200]})")
    return _assembled(read, problems)


class _BrokenError(Exception):
    """What no archive of proofs is."""


def _strays(file: BinaryIO, archive: zipfile.ZipFile) -> Iterator[str]:
    """Bytes around the archive: readers that look from the front and from the end would see two."""
    file.seek(-_END_BYTES, os.SEEK_END)
    end = file.read()
    if end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        yield "bytes follow the end of the archive"
    if min((info.header_offset for info in archive.infolist()), default=0):
        yield "bytes stand before the first file of the archive"


def _members(archive: zipfile.ZipFile) -> list[tuple[str, bytes]]:
    """Names and contents, in their order.

    Raises:
        _BrokenError: too many, too large, or packed in another way.
    """
    infos = archive.infolist()
    if len(infos) > _MOST_ENTRIES:
        raise _BrokenError(f"the archive holds absurdly many files: {len(infos)}")
    found, left = list[tuple[str, bytes]](), _MOST_BYTES_IN_ALL
    for info in infos:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others take memory as they please
            raise _BrokenError(f"the archive's {info.filename[:80]!r} is packed in another way than proofs are")
        most = min(left, _MOST_BYTES)
        with archive.open(info) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise _BrokenError(f"the archive's {info.filename[:80]!r} is absurdly large")
        left -= len(data)
        found.append((info.filename, data))
    return found


def _assembled(members: list[tuple[str, bytes]], problems: list[str]) -> Bundle:
    """What the files of an archive say; of two with one name the first counts, and `problems` names them."""
    problems += _name_problems([name for name, _ in members])
    read = dict(reversed(members))
    index = _index(read.get(_INDEX, b""), problems)
    proofs = {int(match[1]): data for name, data in read.items() if (match := _PROOF.match(name))}
    if both := sorted(proofs.keys() & set(index.not_proved)):
        problems.append(f"the archive holds a proof {both[0]} and says that there is none")
    return Bundle(
        manifest=read.get(_MANIFEST, b""),
        not_proved=frozenset(index.not_proved),
        divided=frozenset(index.divided),
        proofs=proofs,
        keys={sha256_digest(data): data for name, data in read.items() if _KEY.match(name)},
        problems=tuple(problems),
    )


def _broken(problem: str) -> Bundle:
    return Bundle(manifest=b"", not_proved=frozenset(), proofs={}, keys={}, problems=(problem,))


def _name_problems(names: list[str]) -> Iterable[str]:
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        yield f"the archive holds {name[:80]!r} twice"
    for name in names:
        if name not in (_MANIFEST, _INDEX) and not _PROOF.match(name) and not _KEY.match(name):
            yield f"the archive holds {name[:80]!r}, which belongs to no proof"


def _index(data: bytes, problems: list[str]) -> _Index:
    try:
        return json_record(data, _Index, _INDEX, what="is no index of proofs")
    except InputError as error:
        problems.append(f"{_INDEX} cannot be read ({error.what[:200]})")
        return _Index(not_proved=[])
