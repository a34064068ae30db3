"""Measures as tables of at most 100 columns."""

from __future__ import annotations

from rich.text import Text

from partwise.cli.render import console, table
from partwise.measurement import Arrangement, Bench, Status, Suite, Uncut
from partwise.runtime.engines import engine_names, engine_text
from partwise.units import format_bytes, format_seconds, number_of

__all__ = ["show_bench", "show_suite"]


def show_bench(bench: Bench) -> None:
    """Rates of all arrangements, then the stages of the first."""
    out = console()
    rows = [_arrangement(bench, arrangement) for arrangement in bench.arrangements]
    rows += [_uncut(bench, what, uncut) for what, uncut in _replicas(bench) if uncut is not None]
    columns = ("arrangement", "requests/s", "predicted", "÷ ceiling", "÷ uncut", "latency")
    out.print(table("Throughput", columns, rows))
    first = bench.arrangements[0]
    stages = [
        (
            str(stage.stage),
            stage.engine,
            f"{format_seconds(stage.planned_s)} on {stage.planned_device}" if stage.planned_s is not None else "-",
            format_seconds(stage.compute_s),
            format_seconds(stage.copy_s),
            format_bytes(stage.weight_bytes),
        )
        for stage in first.stages
    ]
    columns = ("stage", "engine", "planned", "computes", "copies", "weights")
    out.print(table(f"Lone requests, {first.executor}", columns, stages, left=2))
    engine = bench.engines[0]
    used = engine_names(tuple(map(engine_text, bench.engines)))
    machine = f"{bench.machine.processor}, {number_of(bench.machine.cores, 'core')}"
    how = f"{used}, {number_of(engine.threads, 'thread')} a stage"
    out.print(Text(f"{machine}; {how}; {number_of(bench.rounds, 'round')} of {bench.seconds:g} s"))
    for note in bench.notes:
        out.print(Text(f"note: {note}"))


def show_suite(suite: Suite) -> None:
    """Each criterion, and below what there is to say about it."""
    out = console()
    rows = [
        (result.name, result.asks, result.status.value, _figure(result.value, result.unit)) for result in suite.results
    ]
    out.print(table(f"Suite {suite.suite}, {suite.model}", ("criterion", "asks", "status", "figure"), rows, left=3))
    for result in suite.results:
        if result.note:
            out.print(Text(f"{result.name}: {result.note}"))
    met = sum(result.status is Status.MET for result in suite.results)
    missed = sum(result.status is Status.MISSED for result in suite.results)
    out.print(Text(f"{met} met, {missed} missed, {len(suite.results) - met - missed} not measurable here"))


def _figure(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.3g} {unit}"


def _replicas(bench: Bench) -> list[tuple[str, Uncut | None]]:
    return [("ceiling", bench.ceiling), ("one alone", bench.lone), ("uncut", bench.uncut)]


def _arrangement(bench: Bench, found: Arrangement) -> tuple[str, ...]:
    predicted = "-"
    if found.predicted_per_s is not None:
        predicted = f"{found.predicted_per_s:.2f} ({found.predicted_per_s / found.per_s - 1:+.0%})"
    return (
        f"{found.executor}, {number_of(len(bench.engines), 'stage')}, {found.in_flight} in flight",
        f"{found.per_s:.2f}",
        predicted,
        "-" if found.of_ceiling is None else f"{found.of_ceiling:.3f}",
        "-" if found.of_uncut is None else f"{found.of_uncut:.2f}",
        format_seconds(found.latency_s),
    )


def _uncut(bench: Bench, what: str, found: Uncut) -> tuple[str, ...]:
    del bench
    replicas = f"{found.replicas} × " if found.replicas > 1 else ""
    return (f"{what}: {replicas}uncut, {number_of(found.threads, 'thread')}", f"{found.per_s:.2f}", "-", "-", "-", "-")
