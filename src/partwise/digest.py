"""Canonical JSON and sha256: every record's name is the digest of its canonical bytes.

Source: sha256 is FIPS 180-4; the textual form `sha256:<hex>` is that of OCI image-spec descriptors.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

__all__ = ["canonical_json", "file_digest", "is_digest", "sha256_digest"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_READ_BYTES = 1 << 20


def canonical_json(data: object) -> bytes:
    """Plain data as UTF-8 JSON with sorted keys and no spaces: equal data, equal bytes.

    Args:
        data: dicts with string keys, lists, strings, ints, bools and None. Floats are allowed where a
            record holds a measure; `repr` round-trips them. NaN and infinity raise ValueError.
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def sha256_digest(data: bytes | memoryview) -> str:
    """`sha256:<hex>` of a byte string."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes, read in pieces of 1 MiB."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            state.update(piece)
    return "sha256:" + state.hexdigest()


def is_digest(text: str) -> bool:
    """Whether a string has the form of a digest (says nothing about the bytes it names)."""
    return _DIGEST.match(text) is not None
