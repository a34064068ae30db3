"""Quantities as people write them: bytes in and out, counts with SI prefixes.

GB = 10^9 bytes (SI), GiB = 2^30 bytes (IEC 80000-13); a number without a unit is bytes.
"""

from __future__ import annotations

import re

from partwise.errors import InputError

__all__ = [
    "format_bytes",
    "format_count",
    "format_joules",
    "format_seconds",
    "number_of",
    "parse_bytes",
    "whole_number",
]

_UNITS = {"": 1, "B": 1} | {
    prefix + suffix: base**power
    for suffix, base in (("B", 1000), ("iB", 1024))
    for power, prefix in enumerate("KMGTP", start=1)
}
_QUANTITY = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([A-Za-z]*)\s*\Z")
_WHOLE = re.compile(r"[0-9]{1,18}")
"""Numbers below 10^18, which fit 64 bits: no text makes Python work for long or refuse."""


def parse_bytes(text: str | int) -> int:
    """Bytes of a quantity such as `12GiB`, `500 MB` or `1024`.

    Raises:
        InputError: not a quantity, an unknown unit, or nothing at all (0).
    """
    match = _QUANTITY.match(str(text))
    units = {name.lower(): size for name, size in _UNITS.items()}
    if match is None or match[2].lower() not in units:
        raise InputError(repr(text), "not an amount of memory", expected="for example 12GiB or 500MB")
    size = int(float(match[1]) * units[match[2].lower()])
    if size <= 0:
        raise InputError(repr(text), "an amount of memory must be more than 0 bytes")
    return size


def whole_number(text: str) -> int | None:
    """The number that a text of at most 18 ASCII digits writes; None for any other text.

    `str.isdigit` is true of `²`, which `int` refuses, and `int` refuses more than 4,300 digits.
    """
    return int(text) if _WHOLE.fullmatch(text) else None


def format_bytes(size: float) -> str:
    """Bytes with a binary unit and three or four digits: 1536 -> `1.50 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{_three_digits(size)} {unit}"
        size /= 1024
    return f"{_three_digits(size)} TiB"


def format_count(count: float) -> str:
    """A count with an SI prefix: 4089284608 -> `4.089 G`."""
    for unit in ("", "K", "M", "G", "T"):
        if abs(count) < 1000:
            return f"{count:.0f}" if not unit else f"{count:.3f} {unit}"
        count /= 1000
    return f"{count:.3f} P"


def number_of(count: int, thing: str) -> str:
    """A number of things: `1 stage`, `3 stages`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def format_joules(joules: float) -> str:
    """Joules with a readable unit: 0.0123 -> `12.3 mJ`."""
    return f"{joules:.3g} J" if joules >= 1 else f"{joules * 1e3:.3g} mJ"


def format_seconds(seconds: float) -> str:
    """Seconds with a readable unit: 0.0123 -> `12.3 ms`."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1:
            return f"{_three_digits(seconds * scale)} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
