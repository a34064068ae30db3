"""What this machine has, as tables of at most 100 columns."""

from __future__ import annotations

from rich.text import Text

from partwise.cli.tables import console, table
from partwise.measurement import Inventory
from partwise.units import format_bytes

__all__ = ["show_inventory"]


def show_inventory(found: Inventory) -> None:
    """Processor, units by the engines that reach them, engines that are here and that are not."""
    out, processor = console(), found.processor
    cores = f"{processor.usable} usable of {processor.cores or '?'} cores, {processor.logical or '?'} logical"
    caches = ", ".join(f"L{c.level} {c.kind.lower()} {format_bytes(c.size_bytes)}" for c in processor.caches)
    memory = f"{format_bytes(processor.memory_bytes)}, {format_bytes(processor.available_bytes)} available"
    rows = [("processor", processor.name), ("cores", cores), ("caches", caches or "unknown"), ("memory", memory)]
    out.print(table("This machine", ("what", ""), rows, left=2))
    units = [
        (unit.engine or "none", unit.kind, unit.name, format_bytes(unit.memory_bytes) if unit.memory_bytes else "-",
         " ".join(unit.precisions) or "-")
        for unit in (*found.units, *found.bus)
    ]  # fmt: skip
    out.print(table("Units", ("--engine", "kind", "name", "memory", "precisions"), units, left=3))
    engines = [
        (engine.engine, engine.version or "not installed", ", ".join(engine.devices) or engine.hint)
        for engine in found.engines
    ]
    out.print(table("Engines", ("engine", "version", "devices"), engines, left=3))
    if not any(unit.kind != "cpu" for unit in (*found.units, *found.bus)):
        out.print(Text("no graphics or neural unit is listed, neither by an engine nor on the PCI bus"))
