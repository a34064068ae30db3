"""`partwise plan --explain`: why each stage and each cut is as it is, and what more hardware would give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from partwise import api
from partwise.cli.output import timed
from partwise.cli.render import format_result
from partwise.cli.tables import console, table
from partwise.planning import BoundaryReason, Explanation, Move, Plan, StageReason, WhatIf
from partwise.units import format_bytes, format_seconds

__all__ = ["explain_option", "show_explanation", "take_explanation"]

Command = TypeVar("Command", bound=Callable[..., Any])


def explain_option(command: Command) -> Command:
    """`--explain`."""
    text = "Say what limits each stage, what moving each cut would cost, what more hardware would give."
    return click.option("--explain", is_flag=True, help=text)(command)


def take_explanation(plan: Plan, *, effort: int | None) -> Explanation:
    """The explanation of a plan, with its time on stderr."""
    with timed("explained"):
        return api.explain(plan, effort=effort)


def show_explanation(plan: Plan, explanation: Explanation) -> None:
    """Three tables: stages, cuts, what if."""
    out = console()
    columns = ("stage", "device", "nearest limit", "compute", "receive", "send", "of the period", "of memory")
    out.print(table("What limits each stage", columns, map(_stage, explanation.stages), left=3))
    if explanation.boundaries:
        columns = ("between", "why here", "one unit earlier", "later", "values", "bytes")
        out.print(table("Why each cut is there", columns, map(_boundary, explanation.boundaries), left=2))
    columns = ("what if", "value", "stages", "gain")
    rows = [_what_if(plan, row) for row in explanation.what_if]
    out.print(table(f"What more would give (now {format_result(plan, plan.value)})", columns, rows))


def _stage(reason: StageReason) -> tuple[str, ...]:
    times = (reason.compute_s, reason.receive_s, reason.send_s)
    return (
        str(reason.index),
        reason.device,
        reason.binding,
        *map(format_seconds, times),
        f"{reason.load_share:.0%}",
        "no limit" if reason.memory_share is None else f"{reason.memory_share:.0%}",
    )


def _boundary(reason: BoundaryReason) -> tuple[str, ...]:
    ends = f"{reason.before} | {reason.before + 1}"
    moves = (_move(reason.earlier), _move(reason.later))
    return (ends, reason.why, *moves, str(len(reason.tensors)), format_bytes(reason.bytes))


def _move(move: Move | None) -> str:
    if move is None:
        return "none can"
    if move.forbidden:
        return "forbidden"
    if move.change == 0:
        return "the same"
    what = "" if move.objective is None else f" {move.objective}"
    return f"{move.change:+.2%}{what}"


def _what_if(plan: Plan, row: WhatIf) -> tuple[str, ...]:
    if row.value is None or row.gain is None:
        return (row.change, "no plan" if row.value is None else format_result(plan, row.value), "", "")
    return (row.change, format_result(plan, row.value), str(row.stages), f"{row.gain:+.1%}")
