"""Options that the verbs of proofs share: which prover, which SRS, within which limits, on which segments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from partwise.cli.option_types import Bytes, Finite
from partwise.cli.options import PATH
from partwise.dsperse import Layout, find_layout, read_manifest
from partwise.errors import InputError
from partwise.verification.zk import PROVERS, CallLimits, Prover, Visibility, make_prover, read_templates

__all__ = [
    "PROVER_NAMES",
    "SCALES",
    "asked_for",
    "asked_model",
    "asked_path",
    "asked_prover",
    "at_terminal",
    "circuit_options",
    "circuits_prover",
    "layers_option",
    "limited_prover",
    "prover_options",
    "sliced",
    "take_prover",
]

Command = TypeVar("Command", bound=Callable[..., Any])
Value = TypeVar("Value")

_PROVER = (
    click.option(
        "--prover",
        type=click.Choice(list(PROVERS)),
        help="Who proves (default: ezkl, or whose circuits there are).",
    ),
    click.option("--templates", type=PATH, help="TOML or YAML: how --prover command is called (docs/prove.md)."),
    click.option("--srs", type=PATH, help="SRS file, or a folder of kzg<k>.srs (default: the cache; docs/prove.md)."),
    click.option("--insecure-srs", is_flag=True, help="Allow an SRS made here: its maker can forge proofs. For tests."),
    click.option("--time-limit", type=Finite(min=0, min_open=True), help="Seconds of one call of the prover."),
    click.option("--memory-limit", type=Bytes(), help="Memory of one call of the prover, for example 4GiB."),
    click.option("--prover-threads", type=click.IntRange(1), help="Threads of the prover (default: all)."),
)
_OWN = {"ezkl": ("srs", "insecure_srs"), "command": ("templates",)}
"""Options that only one kind of prover has."""
PROVER_NAMES = (
    "prover",
    "time_limit",
    "memory_limit",
    "prover_threads",
    *(name for own in _OWN.values() for name in own),
)
"""The arguments that `prover_options` makes."""
SCALES = click.IntRange(0, 30)
"""Of fixed-point bits, asked for or given."""
_CIRCUIT = (
    click.option("--scale", type=SCALES, help="Fixed-point bits of values (default: 7)."),
    click.option("--integer", is_flag=True, help="Integer mode: nothing is rounded inside, settings chosen by cost."),
    click.option("--logrows", type=click.IntRange(6, 26), help="k: 2^k rows (default: the fewest that fit)."),
    click.option("--columns", type=click.IntRange(1, 64), help="Inner columns (default: 2)."),
    click.option("--base", type=click.IntRange(2, 1 << 20), help="Of range checks (default: 512)."),
    click.option("--legs", type=click.IntRange(1, 16), help="Digits of range checks (default: 3)."),
    click.option("--queries", type=click.IntRange(1), help="Leaves that a proof of recompute opens (default: all)."),
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


def take_prover(given: dict[str, Any], kind: str) -> Prover:
    """Take the options of `prover_options` out of a verb's arguments, as a prover of a kind.

    Raises:
        UsageError: options of another kind.
    """
    seconds, memory, threads = (given.pop(name) for name in ("time_limit", "memory_limit", "prover_threads"))
    limits = CallLimits(memory_bytes=memory, threads=threads, **({} if seconds is None else {"seconds": seconds}))
    del given["prover"]
    own = {name: given.pop(name) for names in _OWN.values() for name in names}
    for other in (name for kinds, names in _OWN.items() if kinds != kind for name in names):
        if own.pop(other):
            raise click.UsageError(f"--{other.replace('_', '-')} is not for --prover {kind}.")
    return limited_prover(kind, limits, **own)


def limited_prover(
    kind: str,
    limits: CallLimits,
    *,
    srs: Path | None = None,
    insecure_srs: bool = False,
    templates: Path | None = None,
) -> Prover:
    """A prover each of whose calls is a process of its own with limits.

    Raises:
        InputError: no templates for `command`, or none that can be read.
    """
    match kind:
        case "recompute":
            return make_prover(kind, limits=limits)
        case "command":
            if templates is None:
                raise InputError("prover `command`", "is a program, and nothing says how it is called",
                                 hint="--templates FILE; see docs/prove.md.")  # fmt: skip
            return make_prover(kind, templates=read_templates(templates), limits=limits)
        case _:
            return make_prover(kind, srs=srs, insecure=insecure_srs, limits=limits)


def asked_model() -> str:
    """A model, asked for at a terminal; suggested is the only ONNX file of the current folder.

    Raises:
        UsageError: nobody can be asked.
    """
    if not at_terminal():
        raise click.UsageError("Missing argument 'MODEL'.")
    here = sorted(Path.cwd().glob("*.onnx"))
    return click.prompt("Model", type=str, default=here[0].name if len(here) == 1 else None, err=True)


def asked_path(question: str, name: str) -> Path:
    """An argument that was not given, asked for at a terminal.

    Raises:
        UsageError: nobody can be asked.
    """
    if not at_terminal():
        raise click.UsageError(f"Missing argument '{name}'.")
    return click.prompt(question, type=PATH, err=True)


def asked_prover(given: dict[str, Any]) -> str:
    """The kind of prover to make circuits with; asked for at a terminal."""
    return asked_for(given["prover"], "Prover", click.Choice(list(PROVERS)), "ezkl", option="--prover")


def circuits_prover(given: dict[str, Any], layout: Layout) -> str:
    """The kind of prover that a sliced model's circuits are of.

    Raises:
        InputError: another was asked for.
    """
    manifest, asked = read_manifest(layout), given["prover"]
    if manifest is None or asked in (None, manifest.prover):
        return asked or (manifest.prover if manifest else "ezkl")
    raise InputError(f"--prover {asked}", "is not whose circuits there are", expected=manifest.prover,
                     hint=f"partwise compile --prover {asked}.")  # fmt: skip


def sliced(path: Path | None) -> Layout:
    """The sliced model that a path or the current folder belongs to; asked for at a terminal.

    Raises:
        InputError: there is none.
    """
    if path is not None and not path.exists():
        raise InputError(str(path), "does not exist")
    found = find_layout(path or Path.cwd())
    if found is None and path is None and at_terminal():
        path = asked_path("Folder of a sliced model", "PATH")
        found = find_layout(path)
    if found is None:
        raise InputError(
            str(path or Path.cwd()), "is no sliced model, nor inside one", hint="partwise slice model.onnx"
        )
    return found


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty() and "--json" not in sys.argv


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
    if at_terminal():
        return click.prompt(question, type=kind, default=default if suggested is None else suggested, err=True)
    if default is None:
        raise click.UsageError(f"Missing option '{option}': {question.lower()}.")
    return default
