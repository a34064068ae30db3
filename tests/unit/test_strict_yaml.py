"""YAML that two readers could understand differently, or that is none: refused by its line."""

from __future__ import annotations

import pytest

from partwise.errors import InputError
from partwise.strict_yaml import yaml_value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml, line 3: the key `a` stands twice. Hint: it stands in line 1 already."),
        ("a:\n  b: 1\n  c:\n  b: 2\n", "f.yaml, line 4: the key `b` stands twice. Hint: it stands in line 2"),
        ("a: {b: 1, b: 1}", "f.yaml, line 1: the key `b` stands twice"),
        ("- {x: 1}\n- {x: 1, 'x': 2}", "f.yaml, line 2: the key `x` stands twice"),
        ("1: a\n0x1: b\n", "f.yaml, line 2: the key `0x1` stands twice"),
        ("a: [", "is no YAML"),
        ("a: 2020-99-99", "is no YAML (month must be in 1..12"),
        ("? [a]\n: 1", "is no YAML"),
        ("a: !!python/object/apply:os.system [id]", "is no YAML"),
        ("[" * 3000, "is no YAML"),
        ("a: \x07", "is no YAML"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        yaml_value(text, "f.yaml")
    assert said in str(refused.value)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(InputError, match="is no YAML"):
        yaml_value(b"\xff\xfe\xff", "f.yaml")


def test_one_key_in_two_mappings_and_merged_keys() -> None:
    assert yaml_value("a: {b: 1}\nc: {b: 2}", "f") == {"a": {"b": 1}, "c": {"b": 2}}
    assert yaml_value("a: &x {b: 1}\nc: {<<: *x, b: 2}", "f") == {"a": {"b": 1}, "c": {"b": 2}}
    assert yaml_value("", "f") is None
