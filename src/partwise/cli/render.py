"""Records as tables of at most 100 columns, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from partwise.cli.streams import plain_text
from partwise.ir import Graph
from partwise.packaging import Package
from partwise.planning import Placement, Plan, format_value
from partwise.profiling import Profile
from partwise.runtime import Run
from partwise.runtime.engines import engine_names, engine_text
from partwise.units import format_bytes, format_count, format_seconds, number_of
from partwise.verification import Outcome, Verdict

__all__ = [
    "WIDTH",
    "console",
    "format_gap",
    "format_result",
    "show_graph",
    "show_package",
    "show_placement",
    "show_plan",
    "show_profile",
    "show_run",
    "show_verdict",
    "table",
]

WIDTH = 100


def console(*, error: bool = False) -> Console:
    """A console that never writes wider than 100 columns."""
    stream = sys.stderr if error else sys.stdout
    width = min(Console(file=stream).width, WIDTH) if stream.isatty() else WIDTH
    return _Console(file=stream, highlight=False, width=width)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads any more: rich would end with 1, which says that something was rejected."""
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Only rich's own control codes reach the terminal, none of a name or a reason."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain_text(segment.text), segment.style)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Table:
    """A table whose first `left` columns are text and whose other columns are figures."""
    made = Table(title=Text(title, "bold"), title_justify="left", box=None, pad_edge=False, header_style="dim")
    for position, column in enumerate(columns):
        is_text = position < left
        made.add_column(column, justify="left" if is_text else "right", no_wrap=not is_text)
    for row in rows:
        # Where the table is too wide, text is cut short; a figure never is.
        made.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in row))
    return made


def show_graph(graph: Graph, profile: Profile) -> None:
    """What was captured."""
    sizes = ", ".join(f"{name}={value}" for name, value in profile.sizes.items()) or "all fixed"
    rows = [
        ("format", f"{graph.format}"),
        ("nodes", f"{len(graph.nodes)}"),
        ("parameters", format_count(profile.parameters)),
        ("weights", format_bytes(profile.weight_bytes)),
        ("MACs", format_count(profile.macs)),
        ("FLOPs", format_count(profile.flops)),
        ("peak memory", format_bytes(profile.peak_bytes)),
        ("symbols", sizes),
    ]
    states = set(graph.writes.values())
    rows += [("input", _tensor(graph, name, name)) for name in graph.inputs if name not in states]
    rows += [("output", _tensor(graph, o.name, o.tensor)) for o in graph.outputs if o.name not in states]
    rows += [("state", text) for text in _states(graph, [name for name in graph.inputs if name in states])]
    rows += [("note", note) for note in graph.notes]
    grid = Table(title=Text(graph.name, "bold"), title_justify="left", box=None, pad_edge=False, show_header=False)
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, Text(value))
    console().print(grid)


def _states(graph: Graph, names: Sequence[str]) -> list[str]:
    """K/V buffers, those of one shape in one line: inputs and outputs alike."""
    by_shape: dict[str, list[str]] = {}
    for name in names:
        by_shape.setdefault(_tensor(graph, name, name).partition(": ")[2], []).append(name)
    return [f"{found[0]} … {found[-1]} ({len(found)}): {shape}" for shape, found in by_shape.items()]


def show_profile(profile: Profile, depth: int = 3, most: int = 30) -> None:
    """Totals by module."""
    sums: dict[str, list[int]] = {}
    for cost in profile.nodes:
        name = ".".join(cost.module.split(".")[:depth]) or "(top)"
        total = sums.setdefault(name, [0, 0, 0, 0])
        for position, value in enumerate((1, cost.macs, cost.weight_bytes, cost.traffic_bytes - cost.weight_bytes)):
            total[position] += value
    shown = sorted(sums.items(), key=lambda item: (-item[1][1], item[0]))
    rows = [_module_row(name, total) for name, total in shown[:most]]
    if rest := [total for _, total in shown[most:]]:
        rows.append(_module_row(f"({len(rest)} more modules)", [sum(column) for column in zip(*rest, strict=True)]))
    totals = [len(profile.nodes), profile.macs, profile.weight_bytes]
    moved = sum(cost.traffic_bytes - cost.weight_bytes for cost in profile.nodes)
    rows.append(_module_row("total", [*totals, moved]))
    console().print(table("Profile by module", ("module", "nodes", "MACs", "FLOPs", "weights", "activations"), rows))


def show_plan(plan: Plan) -> None:
    """Stages, cuts, and how good the plan can be at most."""
    out = console()
    is_kept = any(stage.kept_bytes for stage in plan.stages)
    stages = [
        (
            str(stage.index),
            stage.device,
            str(len(stage.nodes)),
            format_count(stage.parameters),
            format_bytes(stage.weight_bytes),
            *([format_bytes(stage.kept_bytes)] if is_kept else []),
            format_bytes(stage.peak_bytes),
            format_count(stage.flops),
            format_seconds(stage.time_s),
        )
        for stage in plan.stages
    ]
    kept = ["K/V, engine"] if is_kept else []
    columns = ("stage", "device", "nodes", "parameters", "weights", *kept, "peak memory", "FLOPs", "time")
    out.print(table("Stages", columns, stages, left=2))
    cuts = [
        (f"{cut.source} → {cut.target}", _names(cut.tensors), str(len(cut.tensors)), format_bytes(cut.bytes))
        for cut in plan.cuts
    ]
    if cuts:
        out.print(table("Cuts", ("cut", "values", "count", "bytes"), cuts, left=2))
    how_good = f"{format_gap(plan.gap)} among {plan.bound_plans}"
    out.print(Text(f"{_reached(plan)}; bound {format_result(plan, plan.bound)} ({how_good})"))
    for note in plan.notes:
        out.print(Text(f"note: {note}"))


def show_placement(found: Placement) -> None:
    """Which device does what in a workload."""
    rows = [
        (str(stage.index), stage.device, str(len(stage.nodes)), f"{stage.load:.3f}", f"{stage.size:.4g}")
        for stage in found.stages
    ]
    out = console()
    out.print(table(found.workload, ("stage", "device", "nodes", "load", "size"), rows, left=2))
    how_good = f"{format_gap(found.gap)} among {found.bound_plans}"
    out.print(Text(f"largest load {found.value:.6g}; bound {found.bound:.6g} ({how_good})"))


def show_package(package: Package) -> None:
    """What was written."""
    manifest = package.manifest
    rows = [
        (
            str(number),
            _names([port.tensor for port in segment.inputs]),
            _names([port.tensor for port in segment.outputs]),
            str(len(segment.weights)),
            format_bytes(segment.weight_bytes),
            format_bytes(segment.graph.size),
        )
        for number, segment in enumerate(manifest.segments)
    ]
    out = console()
    out.print(table("Segments", ("segment", "receives", "gives", "blobs", "weights", "graph file"), rows, left=3))
    state = "unchanged, nothing written" if package.unchanged else "written"
    exact = {True: "exact: chain = whole, bit for bit", False: "not exact", None: "not checked"}[manifest.exact]
    out.print(Text(f"{package.path}: {state}; {exact}\n{package.digest}"))


def show_run(run: Run, most: int = 5) -> None:
    """What ran, and the outputs of the first requests."""
    record, out = run.record, console()
    rows = [
        (request.record.name, name, f"{value.dtype.name} {list(value.shape)}", request.record.outputs[name][7:19])
        for request in run.requests[:most]
        for name, value in request.outputs.items()
    ]
    out.print(table("Outputs", ("request", "output", "tensor", "sha256"), rows, left=4))
    engine, names = record.engines[0], engine_names(tuple(map(engine_text, record.engines)))
    seconds = f" in {format_seconds(run.seconds)}" if run.seconds is not None else ""
    one = f"{engine.engine} {engine.version} on {engine.device}"
    claim = f"{one if len(set(record.engines)) == 1 else names}, {number_of(engine.threads, 'thread')} a stage"
    count = number_of(len(record.requests), "request")
    if run.seconds and len(record.requests) > 1:
        seconds += f" ({len(record.requests) / run.seconds:.1f}/s)"
    out.print(Text(f"{count}{seconds}; {record.executor}, {number_of(len(record.engines), 'stage')}; {claim}"))
    for incident in record.incidents[:most]:
        out.print(Text(str(incident), style="yellow"))
    if len(record.incidents) > most:
        out.print(Text(f"and {len(record.incidents) - most} more incidents: see the record"))
    if record.origin.kind == "random":
        out.print(Text(f"inputs: random, seed {record.origin.seed}"))
    if record.inexact is not None:
        name, worst = max(record.inexact.relative.items(), key=lambda pair: pair[1])
        limit = f"limit {record.inexact.limit:g}"
        out.print(Text(f"not exact: `{name}` within {worst:.2g} of {record.inexact.against}'s ({limit}), request 0"))
    for number, settings in enumerate(record.engines):
        if settings.fake is not None:
            out.print(Text(f"stage {number} ran on a fake device ({settings.fake}): no figure of real hardware"))
    if run.path is not None:
        out.print(Text(f"left in {run.path}"))


def show_verdict(verdict: Verdict) -> None:
    """Accepted, rejected or inconclusive, and the largest difference of each output."""
    rows = [
        (
            what,
            comparison.output,
            "bit for bit" if comparison.equal else "differs",
            f"{comparison.largest_difference:.3g}",
        )
        for what, found in (("chain = whole", verdict.chain), ("whole = source", verdict.source))
        for comparison in found
    ]
    out = console()
    if rows:
        out.print(table("Comparison", ("what", "output", "equal", "largest difference"), rows, left=3))
    style = {Outcome.ACCEPTED: "bold green", Outcome.REJECTED: "bold red", Outcome.INCONCLUSIVE: "bold yellow"}
    out.print(Text.assemble((verdict.outcome.upper(), style[verdict.outcome]), f"  {verdict.reason}"))
    for note in verdict.notes:
        out.print(Text(f"note: {note}"))


def _module_row(name: str, total: Sequence[int]) -> tuple[str, ...]:
    nodes, macs, weights, moved = total
    return (name, str(nodes), format_count(macs), format_count(2 * macs), format_bytes(weights), format_bytes(moved))


def _tensor(graph: Graph, name: str, tensor: str) -> str:
    spec = graph.spec[tensor]
    shape = "unknown rank" if spec.shape is None else ", ".join(str(dim) for dim in spec.shape)
    return f"{name}: {spec.dtype} [{shape}]"


def _names(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" +{len(names) - most}" if len(names) > most else "")


def format_result(plan: Plan, value: float) -> str:
    """A value of what a plan makes small: with its unit, or the plain weighted sum."""
    first = plan.levels[0]
    return format_value(first.objective, value) if first.weight is None else f"{value:.6g}"


def format_gap(gap: float | None) -> str:
    """How far a value can lie above the best one, as a part of it."""
    return "proved optimal" if gap == 0 else "unknown gap" if gap is None else f"gap {gap:.1%}"


def _reached(plan: Plan) -> str:
    levels = ", ".join(f"{level.objective} {format_value(level.objective, level.value)}" for level in plan.levels)
    if plan.levels[0].weight is None:
        return levels
    sum_ = " + ".join(f"{level.weight:g} × {level.objective}" for level in plan.levels)
    return f"{levels}; {sum_} (each ÷ its own best) = {plan.value:.6g}"
