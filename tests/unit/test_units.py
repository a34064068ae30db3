"""Quantities in and out."""

from __future__ import annotations

import pytest

from partwise.errors import InputError
from partwise.units import (
    format_bytes,
    format_count,
    format_joules,
    format_seconds,
    number_of,
    parse_bytes,
    whole_number,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [("12GiB", 12 * 2**30), ("500 MB", 500_000_000), ("1.5kib", 1536), ("1024", 1024), (7, 7), ("2B", 2)],
)
def test_parse_bytes(text: str | int, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "12 apples", "-1GiB", "0", "1e3", "nan", "1GiB\n;", "9" * 400, "²GiB"])
def test_parse_bytes_refuses(text: str) -> None:
    with pytest.raises(InputError):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_whole_number(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["", "²", "٣", "-1", "+1", " 1", "1_0", "1.0", "9" * 19, "1" * 5000])
def test_whole_number_is_none(text: str) -> None:
    assert whole_number(text) is None


def test_formats() -> None:
    assert [format_bytes(n) for n in (0, 1023, 1536, 12 * 2**30, 2**42)] == [
        "0 B",
        "1023 B",
        "1.50 KiB",
        "12.0 GiB",
        "4.00 TiB",
    ]
    assert [format_count(n) for n in (7, 4_089_284_608, 3e15)] == ["7", "4.089 G", "3.000 P"]
    assert [format_joules(j) for j in (0.0, 0.0123, 2.5)] == ["0 mJ", "12.3 mJ", "2.5 J"]
    assert [format_seconds(s) for s in (2.5, 0.0123, 4.5e-6, 3e-9)] == ["2.50 s", "12.3 ms", "4.50 µs", "3 ns"]


def test_number_of() -> None:
    assert [number_of(count, "stage") for count in (0, 1, 2)] == ["0 stages", "1 stage", "2 stages"]
