"""What graphs take on devices, as tables of at most 100 columns and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.text import Text

from partwise.calibration import Comparison
from partwise.cli.tables import console, table
from partwise.hardware import Device
from partwise.ir import Graph
from partwise.profiling import Estimate, GroupEstimate, Profile, key_value_traffic
from partwise.units import format_bytes, format_count, format_joules, format_seconds

__all__ = [
    "Row",
    "csv_text",
    "show_check",
    "show_comparison",
    "show_estimate",
    "show_key_values",
    "show_parallelism",
    "show_unknown",
]


@dataclass(frozen=True, slots=True)
class Row:
    """One graph at one set of sizes on one device."""

    model: str
    profile: Profile
    device: Device
    estimate: Estimate
    usd_per_1000: float | None

    @property
    def per_s(self) -> float:
        """Samples a second: batches one after the other."""
        return self.profile.sizes.get("batch", 1) / self.estimate.seconds if self.estimate.seconds else 0.0

    def as_data(self) -> dict[str, Any]:
        """As JSON has it."""
        made = self.estimate
        figures = {"busy": made.busy, "flops_per_s": made.flops_per_s, "samples_per_s": self.per_s}
        return msgspec.to_builtins(made) | figures | {"model": self.model, "usd_per_1000": self.usd_per_1000}


def csv_text(rows: Sequence[Row]) -> str:
    """A line a row; units stand in the names."""
    sizes = list(dict.fromkeys(name for row in rows for name in row.profile.sizes))
    names = ["model", "device", *sizes, "seconds", "samples_per_s", "joules", "macs", "flops", "traffic_bytes"]
    names += ["peak_bytes", "fits", "busy", "flops_per_s", "usd_per_1000", "notes"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        made = row.estimate
        writer.writerow(
            (
                row.model,
                row.device.name,
                *(row.profile.sizes.get(name, "") for name in sizes),
                *(made.seconds, row.per_s, made.joules, row.profile.macs, row.profile.flops, made.traffic_bytes),
                *(made.peak_bytes, made.fits, made.busy, made.flops_per_s, row.usd_per_1000, "; ".join(made.notes)),
            )
        )
    return out.getvalue()


def show_unknown(name: str, profile: Profile) -> None:
    """What the counts leave out, on stderr, so that nobody overlooks it."""
    for row in profile.unknown:
        text = f"{name}: {row.op} × {row.nodes}: {row.why}; {row.share:.1%} of the graph's bytes pass through it"
        console(error=True).print(Text(f"WARNING {text}", style="bold red"))


def show_comparison(rows: Sequence[Row]) -> None:
    """A line a model, set of sizes and device."""
    shown = [
        (
            row.model if len(row.model) <= 20 else "…" + row.model[-19:],
            row.device.name,
            ",".join(str(value) for value in row.profile.sizes.values()) or "fixed",
            format_seconds(row.estimate.seconds),
            format_count(row.per_s),
            _joules(row.estimate.joules),
            f"{row.estimate.busy:.0%}",
            _share(row),
            {True: "yes", False: "no", None: "?"}[row.estimate.fits],
        )
        for row in rows
    ]
    sizes = ",".join(dict.fromkeys(name for row in rows for name in row.profile.sizes)) or "sizes"
    columns = ("model", "device", sizes, "time", "samples/s", "energy", "busy", "of peak", "fits")
    console().print(table("Predicted on devices", columns, shown, left=2))
    _show_notes(rows)


def show_estimate(row: Row, depth: int = 3, most: int = 30) -> None:
    """By module, then in all."""
    sums: dict[str, list[GroupEstimate]] = {}
    costs = row.profile.nodes
    for group in row.estimate.groups:
        name = ".".join(costs[group.nodes[0]].module.split(".")[:depth]) or "(top)"
        sums.setdefault(name, []).append(group)
    ordered = sorted(sums.items(), key=lambda item: -sum(group.seconds for group in item[1]))
    shown = [_module_row(name, groups) for name, groups in ordered[:most]]
    if rest := [group for _, groups in ordered[most:] for group in groups]:
        shown.append(_module_row(f"({len(ordered) - most} more modules)", rest))
    shown.append(_module_row("total", row.estimate.groups))
    columns = ("module", "MACs", "FLOPs", "bytes", "FLOP/B", "bound", "time", "energy", "tiles")
    console().print(table(f"{row.model} on {row.device.title or row.device.name}", columns, shown))
    console().print(Text(_totals(row)))
    _show_notes([row])
    if row.estimate.assumed:
        console().print(Text(f"assumed, neither published nor measured: {'; '.join(row.estimate.assumed)}", "dim"))


def show_key_values(counted: Sequence[tuple[str, Graph, Profile]]) -> None:
    """What a phase of a language model moves of keys and values, a line a set of sizes."""
    for name, graph, found in counted:
        moved = key_value_traffic(graph, found)
        sizes = ", ".join(f"{symbol}={value}" for symbol, value in found.sizes.items())
        both = f"K/V read {format_bytes(moved.read_bytes)}, written {format_bytes(moved.written_bytes)}"
        console().print(Text(f"{name}, {sizes}: {both}"))


def show_parallelism(rows: Sequence[tuple[str, ...]]) -> None:
    """How much of each model can run at once, and the batch that fills each device."""
    columns = ("model", "device", "nodes", "critical path", "widest stage", "saturated at batch")
    console().print(table("Parallelism", columns, rows, left=2))


def show_check(found: Comparison, most: int = 20) -> None:
    """Predicted beside measured: the longest nodes, then all."""
    rows = [
        (
            node.name if len(node.name) <= 32 else "…" + node.name[-31:],
            node.op,
            format_seconds(node.predicted_s),
            format_seconds(node.measured_s),
            f"{node.predicted_s / node.measured_s - 1:+.0%}" if node.measured_s else "-",
        )
        for node in found.nodes[:most]
    ]
    columns = ("node", "operator", "predicted", "measured", "error")
    if rows:
        console().print(table("Predicted beside measured", columns, rows, left=2))
    both = f"predicted {format_seconds(found.predicted_s)}, measured {format_seconds(found.measured_s)}"
    console().print(Text(f"in all: {both}, error {found.error:+.0%}; {len(found.nodes)} nodes compared"))
    if found.unmatched:
        console().print(Text(f"note: {found.unmatched} measured nodes have no name of the graph"))


def _module_row(name: str, groups: Sequence[GroupEstimate]) -> tuple[str, ...]:
    flops, moved = sum(group.flops for group in groups), sum(group.traffic_bytes for group in groups)
    by: dict[str, float] = {}
    for group in groups:
        by[group.bound] = by.get(group.bound, 0.0) + group.seconds
    joules = None if any(group.joules is None for group in groups) else sum(group.joules or 0.0 for group in groups)
    return (
        name if len(name) <= 24 else "…" + name[-23:],
        format_count(flops // 2),
        format_count(flops),
        format_bytes(moved),
        f"{flops / moved:.1f}" if moved else "-",
        max(by, key=lambda bound: by[bound]) if by else "-",
        format_seconds(sum(group.seconds for group in groups)),
        _joules(joules),
        str(sum(group.tiles for group in groups)),
    )


def _totals(row: Row) -> str:
    made, device = row.estimate, row.device
    sizes = ", ".join(f"{name}={value}" for name, value in row.profile.sizes.items()) or "fixed sizes"
    room = "" if device.memory_bytes is None else f" of {format_bytes(device.memory_bytes)}"
    fits = {True: "", False: " — DOES NOT FIT", None: ""}[made.fits]
    energy = "energy not known" if made.joules is None else _joules(made.joules)
    lines = [
        f"{sizes}: {format_seconds(made.seconds)}, {format_count(row.per_s)} samples/s, {energy}",
        f"{format_count(made.flops_per_s)}FLOP/s ({_share(row)} of peak), units busy {made.busy:.0%} of the time",
        f"memory {format_bytes(made.peak_bytes)}{room}{fits}",
    ]
    if row.usd_per_1000 is not None:
        lines.append(f"${row.usd_per_1000:.4g} for 1,000 runs")
    return "\n".join(lines)


def _share(row: Row) -> str:
    kinds = [cost.dtype for cost in row.profile.nodes if cost.macs]
    peak = row.device.peak(max(set(kinds), key=kinds.count) if kinds else "float32").flops_per_s
    return f"{row.estimate.flops_per_s / peak:.1%}"


def _joules(value: float | None) -> str:
    return "-" if value is None else format_joules(value)


def _show_notes(rows: Sequence[Row]) -> None:
    for note in dict.fromkeys(note for row in rows for note in row.estimate.notes):
        console().print(Text(f"note: {note}"))
