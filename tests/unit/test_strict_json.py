"""JSON that two readers could understand differently is refused, and says why."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from partwise.digest import canonical_json
from partwise.errors import InputError, ManifestError
from partwise.strict_json import json_object, json_record, json_value


class Point(msgspec.Struct):
    """A record of one number."""

    x: int


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a": 1, "b": {"a": 2, "c": 3, "a": 4}}', "'a' stands twice"),
        (b'{"a": 1, "\\u0061": 2}', "'a' stands twice"),
        (b"[NaN]", "NaN"),
        (b'{"a": [-Infinity]}', "-Infinity"),
        (b"[1e999]", "1e999"),
        (b"[-1.5e400]", "-1.5e400"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\uDEAD": 1}', "surrogate"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"1" * 5_000, "digits"),
        (b"\xff\xfe{\x00}\x00", "utf-8"),
        (b'{"a": 1} {"a": 2}', "Extra data"),
        (b"{'a': 1}", "Expecting property name"),
        (b"", "Expecting value"),
    ],
)
def test_what_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        json_value(text, "the text")
    assert caught.value.subject == "the text"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "value", [None, True, 2**70, -1.5e-300, "é", "\U0001f600", [], {}, {"a": [{"a": 1}, {"a": 2}]}]
)
def test_what_json_can_say_comes_back(value: object) -> None:
    assert json_value(canonical_json(value), "s") == value
    assert json_value(json.dumps(value).encode(), "s") == value
    assert json_value(b"\xef\xbb\xbf" + canonical_json(value), "s") == value


def test_an_object_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": 1}')
    assert json_object(path, expected="an object", most_bytes=8) == {"a": 1}
    with pytest.raises(ManifestError, match=r"too large; expected ≤ 7 bytes"):
        json_object(path, expected="an object", error=ManifestError, most_bytes=7)
    path.write_bytes(b"[1]")
    with pytest.raises(InputError, match=r"is no JSON object; expected an object, got list"):
        json_object(path, expected="an object")
    for missing in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(InputError, match="cannot be read") as caught:
            json_object(missing, expected="an object", hint="make one.")
        assert caught.value.hint == "make one."


@pytest.mark.parametrize("data", [b"{}", b'{"x": "1"}', b'{"x": 1.5}', b"[]", b"3"])
def test_a_record_of_another_kind(data: bytes) -> None:
    with pytest.raises(ManifestError, match=r"s: is no point .*expected v1"):
        json_record(data, Point, "s", what="is no point", expected="v1", error=ManifestError)
    assert json_record(b'{"x": 1}', Point, "s", what="is no point").x == 1
