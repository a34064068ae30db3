"""`partwise plan --prompt --generate`: a language model's request, read here and answered there if that is quicker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.text import Text

from partwise import api
from partwise.cli.output import print_json, timed
from partwise.cli.render import console, format_gap, show_plan, table
from partwise.digest import canonical_json
from partwise.errors import InputError
from partwise.files import write_whole
from partwise.ir import Graph
from partwise.planning import Alternative, Answer, Objective, PhasePlan, plan_to_data
from partwise.profiling import Phase
from partwise.units import format_bytes, format_seconds

__all__ = ["Tokens", "give_phases", "phase_options", "take_phase", "take_phase_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of each sequence of a request."""

    prompt: int
    generate: int

    @property
    def all(self) -> int:
        """What K/V have room for."""
        return self.prompt + self.generate


def phase_options(command: Command) -> Command:
    """Which phase of a language model, or how long a request to one is."""
    phase = click.option(
        "--phase",
        type=click.Choice([str(phase) for phase in Phase]),
        help="A language model reading --sequence tokens, or making the last one of so many.",
    )
    prompt = click.option(
        "--prompt", type=click.IntRange(1), help="Plan a whole request, prefill and decode apart: tokens read."
    )
    generate = click.option("--generate", type=click.IntRange(1), help="Tokens that such a request makes.")
    return phase(prompt(generate(command)))


def take_phase(given: dict[str, Any]) -> Phase | None:
    """Take `--phase` out of a verb's arguments.

    Raises:
        click.UsageError: it is there without a number of tokens, or with what it does not go with.
    """
    phase = given.pop("phase")
    if phase is None:
        return None
    if given["sequence"] is None or given["static"] or given["prompt"] is not None:
        raise click.UsageError("--phase needs --sequence, how many tokens are there, and goes with neither --static "
                               "nor --prompt.")  # fmt: skip
    return Phase(phase)


def take_phase_options(given: dict[str, Any], *, is_shown: bool) -> Tokens | None:
    """Take the options of `phase_options` out of a verb's arguments.

    Args:
        given: the arguments.
        is_shown: whether a plan of a model is what the verb answers with.

    Raises:
        click.UsageError: one without the other, or with what they do not go with.
    """
    prompt, generate = given.pop("prompt"), given.pop("generate")
    if prompt is None and generate is None:
        return None
    if prompt is None or generate is None:
        raise click.UsageError("--prompt and --generate go together: a request has both.")
    if not is_shown:
        raise click.UsageError("--prompt is for one plan of a model: no --emit, --explain, --pareto, --workload, "
                               "--microbatches, --fuse, --static or --sequence.")  # fmt: skip
    return Tokens(prompt, generate)


def give_phases(
    graph: Graph, tokens: Tokens, batch: int, limits: dict[str, Any], output: Path | None, *, as_json: bool
) -> None:
    """Plan a request, save the plan or both, and say which way is the quickest."""
    if limits["objective"] not in (None, (Objective.LATENCY,)):
        raise InputError("--objective", "a request with --prompt is planned for its latency", expected="latency")
    for name in ("max_parameters", "max_layers"):
        if limits[name] is not None:
            raise InputError(f"--{name.replace('_', '-')}", "is no limit of a request with --prompt")
    names = ("memory", "stages", "cache", "sequences", "overhead", "cluster", "constraints", "solver", "effort")
    with timed("planned"):
        made = api.plan_phases(graph, prompt=tokens.prompt, generate=tokens.generate, batch=batch,
                               **{name: limits[name] for name in names})  # fmt: skip
    if output is not None:
        _save(made, output)
    if as_json:
        print_json(_data(made))
    else:
        _show(made)


def _save(made: PhasePlan, output: Path) -> None:
    """One plan where one serves both phases; else one beside the other, named after the phase."""
    if made.answer is not Answer.BY_PHASE:
        write_whole(output, canonical_json(plan_to_data(made.decode, with_graph=True)))
        return
    for phase, each in (("prefill", made.prefill), ("decode", made.decode)):
        path = output.with_name(f"{output.stem}.{phase}{output.suffix}")
        write_whole(path, canonical_json(plan_to_data(each, with_graph=True)))
        click.echo(f"{phase}: saved as {path}", err=True)


def _data(made: PhasePlan) -> dict[str, Any]:
    import msgspec

    plain = {name: getattr(made, name) for name in made.__slots__ if name not in ("prefill", "decode")}
    plans = {name: plan_to_data(getattr(made, name), with_graph=False) for name in ("prefill", "decode")}
    return msgspec.to_builtins(plain) | plans


def _show(made: PhasePlan) -> None:
    out = console()
    if made.answer is Answer.BY_PHASE:
        for title, each in (("Prefill", made.prefill), ("Decode", made.decode)):
            out.print(Text(title, style="bold"))
            show_plan(each)
        moved = f"{format_bytes(made.transfer_bytes)} of K/V in {format_seconds(made.transfer_s)}"
        out.print(Text(f"between them: {moved}"))
    else:
        show_plan(made.decode)
    rows = [_row(alternative) for alternative in made.alternatives]
    columns = ("way", "request", "prefill", "a token", "K/V moved", "")
    out.print(table(f"{made.prompt} tokens read, {made.generate} made", columns, rows))
    bound = f"bound {format_seconds(made.bound)} ({format_gap(made.gap)})"
    out.print(Text(f"{made.answer}: {format_seconds(made.value)}; {bound}"))


def _row(row: Alternative) -> tuple[str, ...]:
    return (
        row.name if len(row.name) <= 46 else row.name[:45] + "…",
        "-" if row.value is None else format_seconds(row.value),
        format_seconds(row.prefill_s),
        format_seconds(row.decode_s),
        format_seconds(row.transfer_s) if row.transfer_s else "-",
        "does not fit" if row.why_not else "",
    )
