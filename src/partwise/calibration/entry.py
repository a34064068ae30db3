"""A device as the text of a hardware file, which `hardware.parse_hardware` reads back to the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from partwise.hardware import Device

__all__ = ["entry_text"]


def entry_text(device: Device) -> str:
    """TOML of one entry; what is not stated is left out."""
    lines = [f"[device.{device.name}]"]
    for field in fields(device):
        value = getattr(device, field.name)
        if field.name not in ("name", "sources") and value is not None and value != "" and value not in ((), {}):
            lines.append(f"{field.name} = {_value(value)}")
    rows = [
        f"  {{ figures = {_value(source.figures)}, text = {_value(source.text)}, date = {_value(source.date)} }},"
        for source in device.sources
    ]
    return "\n".join([*lines, "sources = [", *rows, "]"]) + "\n"


def _value(value: object) -> str:
    if isinstance(value, str):
        escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, Mapping):
        pairs = cast(Mapping[str, Any], value)
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in pairs.items()) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(item) for item in cast(tuple[object, ...], value)) + "]"
    return repr(value)
