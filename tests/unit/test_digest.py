"""Digests: canonical bytes, and the form of a digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from partwise.digest import canonical_json, file_digest, is_digest, sha256_digest

ABC = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example "abc"


def test_sha256_is_the_standard_one() -> None:
    assert sha256_digest(b"abc") == ABC
    assert sha256_digest(memoryview(b"abc")) == ABC


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'.encode()
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_canonical_json_refuses_what_json_cannot_say(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": value})


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "blob"
    file.write_bytes(b"x" * 3_000_000)
    assert file_digest(file) == sha256_digest(b"x" * 3_000_000)


@pytest.mark.parametrize("text", ["", "sha256:", ABC.upper(), ABC + "0", ABC + "\n", "../" + ABC, ABC[7:]])
def test_is_digest_refuses(text: str) -> None:
    assert not is_digest(text)
    assert is_digest(ABC)
