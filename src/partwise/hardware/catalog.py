"""The catalog: devices and links by name, and the format of an entry.

A file is TOML with tables `[device.NAME]` and `[link.NAME]`; their keys are the fields of `Device` and `Link`. An
amount of memory may be text with a unit (`"24GiB"`); every figure needs a source (docs/profile.md).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cache
from importlib import resources
from math import isfinite
from typing import Any, TypeVar, cast

import msgspec

from partwise.errors import DeviceError, InputError
from partwise.hardware.device import Device, Link
from partwise.units import parse_bytes

__all__ = ["Catalog", "catalog", "catalog_from_data", "find_device", "find_link", "parse_hardware"]

_FILES = ("nvidia.toml", "geforce.toml", "others.toml", "cpu.toml", "links.toml")
_BYTES = ("memory_bytes", "cache_bytes", "scratchpad_bytes")
_NO_FIGURES = frozenset({"name", "title", "kind", "aliases", "sources"})
Entry = TypeVar("Entry", Device, Link)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Entries in the order of their files."""

    devices: tuple[Device, ...] = ()
    links: tuple[Link, ...] = ()


@cache
def catalog() -> Catalog:
    """The catalog that comes with the package."""
    folder = resources.files("partwise.hardware") / "data"
    parts = [parse_hardware((folder / name).read_text(encoding="utf-8"), name) for name in _FILES]
    return Catalog(
        devices=tuple(device for part in parts for device in part.devices),
        links=tuple(link for part in parts for link in part.links),
    )


def find_device(name: str, among: Catalog | None = None) -> Device:
    """A device by its name or an alias.

    Args:
        name: as the catalog has it; only letters and digits matter, capitals do not.
        among: entries to look in; the package's own by default.

    Raises:
        DeviceError: there is none; the message has the nearest names.
    """
    return _find("device", name, (among or catalog()).devices)


def find_link(name: str, among: Catalog | None = None) -> Link:
    """A link by its name or an alias.

    Raises:
        DeviceError: there is none; the message has the nearest names.
    """
    return _find("link", name, (among or catalog()).links)


def parse_hardware(text: str, subject: str) -> Catalog:
    """The entries of a file, each checked.

    Args:
        text: TOML, of the user or of the package.
        subject: what errors are about.

    Raises:
        DeviceError: no TOML, an unknown key, a figure that is missing, negative, without its unit or its source.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DeviceError(subject, f"is no TOML ({error})") from None
    if unknown := set(data) - {"device", "link"}:
        raise DeviceError(subject, "has an unknown table", expected="[device.NAME] or [link.NAME]", got=min(unknown))
    return catalog_from_data(data, subject)


def catalog_from_data(data: Mapping[str, Any], subject: str) -> Catalog:
    """The entries among the tables of a TOML file: `device` and `link`."""
    return Catalog(
        devices=tuple(
            _entry(Device, "device", name, table, subject) for name, table in _tables(data, "device", subject)
        ),
        links=tuple(_entry(Link, "link", name, table, subject) for name, table in _tables(data, "link", subject)),
    )


def _tables(data: Mapping[str, Any], key: str, subject: str) -> list[tuple[str, dict[str, Any]]]:
    tables = data.get(key, {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in cast(Any, tables).values()):
        raise DeviceError(subject, f"`{key}` holds no entries", expected=f"tables [{key}.NAME]")
    return list(cast(dict[str, dict[str, Any]], tables).items())


def _entry(kind: type[Entry], word: str, name: str, table: dict[str, Any], subject: str) -> Entry:
    """One entry: types, units, signs and sources checked."""
    where = f"{subject}, {word} `{name}`"
    values = {key: _amount(where, key, value) if key in _BYTES else value for key, value in table.items()}
    known = {field.name for field in fields(kind)}
    if unknown := set(values) - known:
        near = get_close_matches(min(unknown), known, 1)
        raise DeviceError(
            where, f"has an unknown key `{min(unknown)}`", hint=f"did you mean {near[0]}?" if near else ""
        )
    try:
        made = msgspec.convert(values | {"name": name}, kind, strict=True)
    except msgspec.ValidationError as error:
        raise DeviceError(where, str(error)) from None
    _check_figures(made, table, where)
    _check_sources(made, table, where)
    return made


def _amount(where: str, key: str, value: object) -> object:
    """Bytes of text with a unit."""
    if not isinstance(value, str):
        return value
    if value.strip()[-1:].isdigit():
        raise DeviceError(where, f"`{key}` is text without a unit", expected='for example "24GiB"', got=value)
    try:
        return parse_bytes(value)
    except InputError as error:
        raise DeviceError(where, f"`{key}`: {error.what}", expected=error.expected, got=value) from None


def _check_figures(made: Device | Link, table: Mapping[str, Any], where: str) -> None:
    for key, value in table.items():
        if key in _NO_FIGURES:
            continue
        for number in _numbers(value):
            free = key in ("idle_w", "launch_s", "conv_launch_s", "latency_s", "price_usd_per_hour", "spread")
            if isinstance(number, int | float) and (not isfinite(number) or number < 0 or (number == 0 and not free)):
                raise DeviceError(where, f"`{key}` must be more than 0", got=number)
    if isinstance(made, Device) and not made.peak_flops_per_s:
        raise DeviceError(where, "states no peak", expected="peak_flops_per_s = { float32 = … }")


def _numbers(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast(dict[str, object], value).values())
    return cast(list[object], value) if isinstance(value, list) else [value]


def _check_sources(made: Device | Link, table: Mapping[str, Any], where: str) -> None:
    """Every figure has a source, and every source is of a figure."""
    named = {figure for source in made.sources for figure in source.figures}
    stated = set(table) - _NO_FIGURES
    peaks = set(cast(dict[str, float], table.get("peak_flops_per_s", {})))
    if "*" not in named and (missing := stated - named):
        raise DeviceError(where, f"`{min(missing)}` has no source", hint="name it in `sources`, with text and date.")
    if unknown := named - stated - peaks - {"*"}:
        raise DeviceError(where, f"a source is of `{min(unknown)}`, which the entry does not state")
    if any(not source.text or not source.date[:4].isdigit() for source in made.sources):
        raise DeviceError(where, "a source lacks its text or date", expected='date = "2024-03"')


def _find(word: str, name: str, among: tuple[Entry, ...]) -> Entry:
    names = {_plain(spoken): entry for entry in among for spoken in (*entry.aliases, entry.name)}
    if (found := names.get(_plain(name))) is not None:
        return found
    near = [names[spoken].name for spoken in get_close_matches(_plain(name), names, 5, 0.5)]
    near = near or sorted(entry.name for entry in among)[:5]
    hint = f"nearest: {', '.join(dict.fromkeys(near))}; `partwise devices` lists all."
    raise DeviceError(f"{word} `{name}`", "is not in the catalog", hint=hint)


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
