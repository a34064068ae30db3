"""Options of workers and of what is done when one fails, and what they mean as arguments of `api.run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from partwise.cli.option_types import Bytes
from partwise.runtime import Capacity, Policy

__all__ = ["take_worker_options", "worker_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--workers", type=click.IntRange(1), help="Processes that compute (default: one a stage)."),
    click.option("--memory", type=Bytes(), help="Of each worker; a stage above it is cut smaller."),
    click.option("--max-parameters", type=click.IntRange(1), help="Of the stages of one worker."),
    click.option("--max-layers", type=click.IntRange(1), help="Of the stages of one worker."),
    click.option("--cpu-fallback", is_flag=True, help="A stage whose device fails goes on on the CPU."),
)


def worker_options(command: Command) -> Command:
    """How many workers, what each may hold, and what stands in for a device."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_worker_options(given: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `worker_options` out of a verb's arguments, as arguments of `api.run`."""
    names = {"memory": "bytes", "max_parameters": "parameters", "max_layers": "layers"}
    capacity = Capacity(**{field: given.pop(name) for name, field in names.items()})
    policy = Policy(cpu_fallback=given.pop("cpu_fallback"))
    return {"workers": given.pop("workers"), "capacity": capacity, "policy": policy}
