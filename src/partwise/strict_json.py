"""JSON from anywhere, read strictly: what two readers could understand differently is refused.

Refused are a key that stands twice in an object, NaN and Infinity, numbers beyond float64, lone surrogates, text that
is not UTF-8, objects nested deeper than the interpreter's stack, and files over a size.

**Source**: RFC 8259, sections 4 (names within an object SHOULD be unique), 6 (Infinity and NaN are not permitted),
8.1 (UTF-8) and 8.2 (unpaired surrogates).
"""

from __future__ import annotations

import json
import re
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, cast

import msgspec

from partwise.errors import InputError, PartwiseError

__all__ = ["MOST_BYTES", "SharedInt", "json_object", "json_record", "json_value"]

MOST_BYTES = 1 << 30
"""Of a file; assumed: lists of numbers take some 30 times as much memory. Larger tensors belong into an `.npz`."""

_MOST_INT = (1 << 53) - 1
SharedInt = Annotated[int, msgspec.Meta(ge=-_MOST_INT, le=_MOST_INT)]
"""An integer that every reader has exactly; a record's field. **Source**: RFC 8259, section 6."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SHOWN = 200  # characters of a reason; a parser quotes what it read

Record = TypeVar("Record")


def json_object(
    path: Path,
    *,
    expected: str,
    error: type[PartwiseError] = InputError,
    most_bytes: int = MOST_BYTES,
    hint: str = "",
) -> dict[str, Any]:
    """The object in a file.

    Args:
        path: of the file.
        expected: what should be in it, for errors.
        error: what is raised.
        most_bytes: that it may have.
        hint: what to do about any of it.

    Raises:
        PartwiseError: as `error`: it cannot be read, is too large, is no JSON, or holds something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as problem:
        raise error(str(path), f"cannot be read ({problem.strerror})", hint=hint) from None
    if len(data) > most_bytes:
        raise error(str(path), "is too large", expected=f"≤ {most_bytes} bytes", hint=hint)
    found = json_value(data, str(path), error, hint=hint)
    if not isinstance(found, dict):
        raise error(str(path), "is no JSON object", expected=expected, got=type(found).__name__, hint=hint)
    return cast(dict[str, Any], found)


def json_record(
    data: bytes, kind: type[Record], subject: str, *, what: str, expected: object = None,
    error: type[PartwiseError] = InputError,
) -> Record:  # fmt: skip
    """A record in JSON.

    Args:
        data: the text.
        kind: of the record.
        subject: what errors are about.
        what: what is wrong where it is none: `is no trace`.
        expected: for errors.
        error: what is raised.

    Raises:
        PartwiseError: as `error`: no JSON, a field missing, or of the wrong type.
    """
    try:
        return msgspec.convert(json_value(data, subject, error), kind)
    except msgspec.ValidationError as problem:
        raise error(subject, f"{what} ({str(problem)[:_SHOWN]})", expected=expected) from None


def json_value(data: bytes, subject: str, error: type[PartwiseError] = InputError, *, hint: str = "") -> Any:
    """The value of a JSON text.

    Raises:
        PartwiseError: as `error`: no JSON, or what the module's head names.
    """
    try:
        text = data.decode("utf-8-sig")
        found = json.loads(text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)
        if _SURROGATE.search(data):
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as problem:
        reason = "nested too deep" if isinstance(problem, RecursionError) else str(problem)[:_SHOWN]
        raise error(subject, f"is no JSON ({reason})", hint=hint) from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {twice[:60]!r} stands twice in one object")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text[:60]} is beyond what a finite float64 can hold")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON, whose numbers are finite")
