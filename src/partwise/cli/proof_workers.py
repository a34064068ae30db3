"""Options of workers that prove, and what they mean as a `Farm`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from partwise.cli.options import Bytes
from partwise.runtime import Capacity
from partwise.verification.zk import CallLimits
from partwise.verification.zk.workers import PROVING, Farm

__all__ = ["proof_worker_options", "prove_workers_option", "say", "take_farm"]

Command = TypeVar("Command", bound=Callable[..., Any])

prove_workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Processes that prove; what fails is repeated elsewhere, or divided."
)
_LIMITS = (
    click.option("--memory", type=Bytes(), help="Of each worker; a segment predicted above it is proved in pieces."),
    click.option("--max-parameters", type=click.IntRange(1), help="Of what a worker proves at once; with --workers."),
    click.option("--max-layers", type=click.IntRange(1), help="Of what a worker proves at once; with --workers."),
)
_GRACE_S = 10.0
"""By which a worker may tell of a call that took too long before it is taken to hang; assumed."""
_CAPACITY = {"memory": "bytes", "max_parameters": "parameters", "max_layers": "layers"}


def proof_worker_options(command: Command) -> Command:
    """How many workers prove, and what each takes."""
    for option in reversed((prove_workers_option, *_LIMITS)):
        command = option(command)
    return command


def take_farm(workers: int | None, limits: dict[str, int | None], time_limit: float | None) -> Farm | None:
    """The workers; None where none were asked for.

    Args:
        workers: how many.
        limits: of each: `memory`, `max_parameters`, `max_layers`.
        time_limit: of one call of the prover, which is the deadline of a proof.

    Raises:
        UsageError: limits of workers that there are not.
    """
    if workers is None:
        if stated := [name for name, most in limits.items() if most is not None]:
            raise click.UsageError(f"--{stated[0].replace('_', '-')} is of a worker: say how many with --workers.")
        return None
    policy = replace(PROVING, first_deadline_s=(CallLimits().seconds if time_limit is None else time_limit) + _GRACE_S)
    capacity = Capacity(**{_CAPACITY[name]: most for name, most in limits.items()})
    return Farm(workers=workers, capacity=capacity, policy=policy)


def say(incident: object) -> None:
    """What went wrong among the workers, on stderr."""
    click.echo(f"proving: {incident}", err=True)
