"""`partwise devices`: the catalog of hardware, and this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

import click
import msgspec
from rich.text import Text

from partwise import api
from partwise.calibration import entry_text, this_machine
from partwise.cli.applicable import refuse
from partwise.cli.option_types import Devices
from partwise.cli.options import json_option
from partwise.cli.output import print_json
from partwise.cli.render import console, table
from partwise.cli.render_inventory import show_inventory
from partwise.hardware import Device, Link, catalog
from partwise.measurement import take_inventory
from partwise.units import format_bytes, format_count, format_seconds

__all__ = ["devices"]

_NO_FIGURES = frozenset({"name", "title", "kind", "aliases", "sources", "memory_type"})


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, type=Devices())
@click.option("--here", is_flag=True, help="What this machine has, and which engine reaches it.")
@click.option("--toml", is_flag=True, help="With --here: its processor as an entry of a hardware file.")
@click.option("--links", is_flag=True, help="The ways between devices.")
@json_option
def devices(names: tuple[str, ...], here: bool, toml: bool, links: bool, as_json: bool) -> None:
    """List the devices that `--hardware` knows; of named ones every figure with its source.

    A NAME may also be a TOML file of the same format.

    \b
    Example:  partwise devices
              partwise devices h100-pcie
              partwise devices --here
              partwise devices --here --toml > here.toml
    """
    if here:
        refuse({"names", "links"}, "is of the catalog, and --here of this machine.")
    if links:
        refuse({"names"}, "is of devices: --links shows all ways between them.")
    found: Sequence[Device | Link] = (
        (this_machine(),) if here else catalog().links if links else api.devices(names or ("all",))
    )
    if toml and not here:
        raise click.UsageError("--toml writes what --here finds.")
    inventory = take_inventory() if here and not toml else None
    if as_json and inventory is not None:
        print_json({"devices": msgspec.to_builtins(found), "here": msgspec.to_builtins(inventory)})
    elif inventory is not None:
        show_inventory(inventory)
    elif as_json:
        print_json({"links" if links else "devices": msgspec.to_builtins(found)})
    elif here:
        click.echo(entry_text(this_machine()), nl=False)
    elif links:
        _show_links(catalog().links)
    elif names:
        for device in api.devices(names):
            _show_device(device)
    else:
        _show_devices(catalog().devices)


def _show_devices(known: Sequence[Device]) -> None:
    rows = [
        (
            device.name,
            device.kind,
            _rate(device, "float32"),
            _rate(device, "bfloat16") if "bfloat16" in device.peak_flops_per_s else _rate(device, "float16"),
            _rate(device, "int8"),
            format_bytes(device.memory_bytes) if device.memory_bytes else "-",
            f"{device.memory_bytes_per_s / 1e9:.0f}",
            str(device.units or "-"),
            f"{device.tdp_w:.0f}" if device.tdp_w else "-",
        )
        for device in known
    ]
    columns = ("name", "kind", "TFLOP/s fp32", "16-bit", "int8", "memory", "GB/s", "units", "W")
    console().print(table("Devices", columns, rows, left=2))


def _rate(device: Device, dtype: str) -> str:
    rate = device.peak_flops_per_s.get(dtype)
    return "-" if rate is None else f"{rate / 1e12:.1f}"


def _show_links(known: Sequence[Link]) -> None:
    rows = [
        (link.name, link.title, format_count(link.bytes_per_s) + "B/s", format_seconds(link.latency_s))
        for link in known
    ]
    console().print(table("Links", ("name", "what", "one direction", "latency"), rows, left=2))


def _show_device(device: Device) -> None:
    out = console()
    stated = _stated(device)
    rows = [row for name in stated for row in _figures(name, getattr(device, name))]
    out.print(table(f"{device.name}: {device.title}", ("figure", "value"), rows))
    sources = {name: _source(device, name) for name in stated}
    for text in dict.fromkeys(sources.values()):
        named = ", ".join(name for name in stated if sources[name] == text)
        out.print(Text(f"{named}: {text}"))


def _stated(device: Device) -> list[str]:
    names = [field.name for field in fields(device) if field.name not in _NO_FIGURES]
    return [name for name in names if getattr(device, name) not in (None, (), {}, "")]


def _figures(name: str, value: Any) -> list[tuple[str, str]]:
    """A line a figure; of peaks and shares a line a type."""
    if isinstance(value, Mapping):
        table = cast(Mapping[str, float], value)
        return [(f"{name}.{key}", f"{number:.5g}") for key, number in table.items()]
    if name.endswith("_bytes"):
        return [(name, format_bytes(value))]
    return [(name, " × ".join(map(str, cast(tuple[int, ...], value))) if isinstance(value, tuple) else f"{value:.5g}")]


def _source(device: Device, name: str) -> str:
    source = device.source(name)
    return f"{source.text} ({source.date})" if source else "not stated"
