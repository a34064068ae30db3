"""`plan --microbatches`: what the plan's stages do with so many microbatches, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from partwise.cli.render import WIDTH
from partwise.planning import Plan
from partwise.planning.schedule import (
    Prediction,
    ScheduleKind,
    make_schedule,
    predict,
    show_schedule,
    times_of_plan,
)
from partwise.units import format_seconds

__all__ = ["pipeline_options", "predicted", "show_pipeline", "take_pipeline_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_BACKWARD = 2.0  # of forward: a product's backward pass is two products of its size (arXiv 2001.08361, section 2.1)


def pipeline_options(command: Command) -> Command:
    """How many microbatches, and in which order."""
    many = click.option(
        "--microbatches",
        type=click.IntRange(1, 100_000),
        help="Predict a run of so many microbatches, each of the plan's sizes.",
    )
    kind = click.option(
        "--schedule",
        type=click.Choice([kind.value for kind in ScheduleKind]),
        help="Their order (default: gpipe); 1f1b is a training step, with backward passes of twice the forward time.",
    )
    return many(kind(command))


def take_pipeline_options(given: dict[str, Any], *, is_shown: bool) -> tuple[int | None, ScheduleKind]:
    """Take the options of `pipeline_options` out of a verb's arguments.

    Args:
        given: the arguments.
        is_shown: whether a plan of a model is what the verb answers with.
    """
    microbatches, kind = given.pop("microbatches"), given.pop("schedule")
    if microbatches is None and kind is not None:
        raise click.UsageError("--schedule orders the microbatches of --microbatches N.")
    if microbatches is not None and not is_shown:
        raise click.UsageError("--microbatches says what a model's plan does, not with --emit or --workload.")
    return microbatches, ScheduleKind(kind or ScheduleKind.GPIPE)


def predicted(plan: Plan, microbatches: int, kind: ScheduleKind) -> Prediction:
    """What the plan does with so many microbatches."""
    return predict(kind, times_of_plan(plan, backward=_backward(kind)), microbatches)


def show_pipeline(plan: Plan, microbatches: int, kind: ScheduleKind) -> None:
    """The prediction, and the grid where it is narrow enough to be read."""
    found = predicted(plan, microbatches, kind)
    click.echo(
        f"{kind}, {microbatches} microbatches: {format_seconds(found.makespan_s)} in all, one each "
        f"{format_seconds(found.period_s)}, one alone {format_seconds(found.latency_s)}; idle {found.bubble:.1%}"
    )
    backward = _backward(kind) is not None
    if backward:
        click.echo(f"backward passes: {_BACKWARD:g} × forward, gradients as large as their values")
    if microbatches > WIDTH:
        return
    grid = show_schedule(make_schedule(kind, len(plan.stages), microbatches, backward=backward))
    if max(map(len, grid.splitlines())) <= WIDTH and len(plan.stages) > 1:
        click.echo(grid)


def _backward(kind: ScheduleKind) -> float | None:
    return _BACKWARD if kind is ScheduleKind.ONE_F_ONE_B else None
