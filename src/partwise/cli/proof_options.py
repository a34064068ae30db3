"""Options that the verbs of proofs share: which prover, which SRS, within which limits, on which segments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from partwise.cli.options import PATH, Bytes
from partwise.dsperse import Layout, find_layout
from partwise.errors import InputError
from partwise.verification.zk import CallLimits, Prover, Visibility, make_prover

__all__ = ["asked_for", "circuit_options", "layers_option", "prover_options", "sliced", "take_prover"]

Command = TypeVar("Command", bound=Callable[..., Any])
Value = TypeVar("Value")

_PROVER = (
    click.option("--srs", type=PATH, help="SRS file, or a folder of kzg<k>.srs (default: the cache; docs/prove.md)."),
    click.option("--insecure-srs", is_flag=True, help="Allow an SRS made here: its maker can forge proofs. For tests."),
    click.option(
        "--time-limit", type=click.FloatRange(min=0, min_open=True), help="Seconds of one call of the prover."
    ),
    click.option("--memory-limit", type=Bytes(), help="Memory of one call of the prover, for example 4GiB."),
    click.option("--prover-threads", type=click.IntRange(1), help="Threads of the prover (default: all)."),
)
_CIRCUIT = (
    click.option("--scale", type=click.IntRange(0, 30), help="Fixed-point bits of values (default: 7)."),
    click.option("--integer", is_flag=True, help="Integer mode: nothing is rounded inside, settings chosen by cost."),
    click.option("--logrows", type=click.IntRange(6, 26), help="k: 2^k rows (default: the fewest that fit)."),
    click.option("--columns", type=click.IntRange(1, 64), help="Inner columns (default: 2)."),
    click.option("--base", type=click.IntRange(2, 1 << 20), help="Of range checks (default: 512)."),
    click.option("--legs", type=click.IntRange(1, 16), help="Digits of range checks (default: 3)."),
    click.option(
        "--visibility", type=click.Choice([v.value for v in Visibility]), help="Of values in proofs (default: public)."
    ),
)


def prover_options(command: Command) -> Command:
    """How the prover works."""
    for option in reversed(_PROVER):
        command = option(command)
    return command


def circuit_options(command: Command) -> Command:
    """What circuits are made."""
    for option in reversed(_CIRCUIT):
        command = option(command)
    return command


def layers_option(command: Command) -> Command:
    """`--layers`: some segments only."""
    return click.option("--layers", help="Segments, as 0,2-4; the others are not proved.")(command)


def take_prover(given: dict[str, Any]) -> Prover:
    """Take the options of `prover_options` out of a verb's arguments, as a prover."""
    seconds, memory, threads = (given.pop(name) for name in ("time_limit", "memory_limit", "prover_threads"))
    limits = CallLimits(memory_bytes=memory, threads=threads, **({} if seconds is None else {"seconds": seconds}))
    return make_prover("ezkl", srs=given.pop("srs"), insecure=given.pop("insecure_srs"), limits=limits)


def sliced(path: Path | None) -> Layout:
    """The sliced model that a path or the current folder belongs to.

    Raises:
        InputError: there is none.
    """
    found = find_layout(path or Path.cwd())
    if found is None:
        raise InputError(
            str(path or Path.cwd()), "is no sliced model, nor inside one", hint="partwise slice model.onnx"
        )
    return found


def asked_for(
    value: Value | None,
    question: str,
    kind: Any,
    default: Value | None = None,
    *,
    option: str,
    suggested: Value | None = None,
) -> Value:
    """A value, asked for at a terminal where it was not given.

    Args:
        value: as given.
        question: for people.
        kind: click's type of it.
        default: taken where nobody can be asked.
        option: named in the error.
        suggested: to somebody at a terminal, but never taken unasked.

    Raises:
        UsageError: not given, no default, and no terminal.
    """
    if value is not None:
        return value
    if sys.stdin.isatty() and sys.stderr.isatty() and "--json" not in sys.argv:
        return click.prompt(question, type=kind, default=default if suggested is None else suggested, err=True)
    if default is None:
        raise click.UsageError(f"Missing option '{option}': {question.lower()}.")
    return default
