"""`plan --microbatches`: what the plan's stages do with so many microbatches, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from partwise.cli.tables import WIDTH
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

__all__ = ["Pipeline", "pipeline_options", "predicted", "show_pipeline", "take_pipeline_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_BACKWARD = 2.0  # of forward: a product's backward pass is two products of its size (arXiv 2001.08361, section 2.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What is to be predicted."""

    microbatches: int
    kind: ScheduleKind

    @property
    def backward(self) -> float | None:
        """Of a training step: its backward times as a multiple of the forward ones."""
        return _BACKWARD if self.kind is ScheduleKind.ONE_F_ONE_B else None


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


def take_pipeline_options(given: dict[str, Any], *, is_shown: bool) -> Pipeline | None:
    """Take the options of `pipeline_options` out of a verb's arguments.

    Args:
        given: the arguments.
        is_shown: whether a plan of a model is what the verb answers with.
    """
    microbatches, kind = given.pop("microbatches"), given.pop("schedule")
    if microbatches is None and kind is not None:
        raise click.UsageError("--schedule orders the microbatches of --microbatches N.")
    if microbatches is None:
        return None
    if not is_shown:
        raise click.UsageError("--microbatches is for one plan of a model: no --emit, --pareto or --workload.")
    return Pipeline(microbatches=microbatches, kind=ScheduleKind(kind or ScheduleKind.GPIPE))


def predicted(plan: Plan, asked: Pipeline) -> Prediction:
    """What the plan does with so many microbatches."""
    return predict(asked.kind, times_of_plan(plan, backward=asked.backward), asked.microbatches)


def show_pipeline(plan: Plan, asked: Pipeline) -> None:
    """The prediction, and the grid where it is narrow enough to be read."""
    found = predicted(plan, asked)
    click.echo(
        f"{asked.kind}, {asked.microbatches} microbatches: {format_seconds(found.makespan_s)} in all, one every "
        f"{format_seconds(found.period_s)}, one alone {format_seconds(found.latency_s)}; idle {found.bubble:.1%}"
    )
    if asked.backward is not None:
        click.echo(f"backward passes: {asked.backward:g} × forward, gradients as large as their values")
    if len(plan.stages) == 1 or asked.microbatches > WIDTH:
        return
    is_training = asked.backward is not None
    grid = show_schedule(make_schedule(asked.kind, len(plan.stages), asked.microbatches, backward=is_training))
    if max(map(len, grid.splitlines())) <= WIDTH:
        click.echo(grid)
