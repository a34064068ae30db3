"""A plan for another runtime: its text on stdout or in a file, and on stderr what the rounding costs."""

from __future__ import annotations

from pathlib import Path

import click

from partwise.cli.output import print_json
from partwise.files import write_whole
from partwise.planning import Emission, Plan, Target, emission_to_data, emit, format_value

__all__ = ["emit_option", "give_emission"]

emit_option = click.option(
    "--emit",
    "target",
    type=click.Choice([target.value for target in Target]),
    help="Write the plan for another runtime instead of showing it; -o then saves that text.",
)


def give_emission(plan: Plan, target: str, output: Path | None, *, as_json: bool) -> None:
    """Print or save a plan in a target's words."""
    made = emit(plan, Target(target))
    if output is not None:
        write_whole(output, (made.text + "\n").encode())
    if as_json:
        print_json(emission_to_data(made))
    elif output is None:
        click.echo(made.text)
    for line in (*_losses(made), *(f"note: {note}" for note in made.notes)):
        click.echo(line, err=True)


def _losses(made: Emission) -> list[str]:
    """What each objective is as planned and as the target will run it."""
    pairs = [(p.objective, p.value, r.value) for p, r in zip(made.planned, made.reached, strict=True)]
    return [
        f"{objective}: {format_value(objective, planned)} as planned, "
        f"{format_value(objective, reached)} as {made.target} runs it"
        + (f" ({(reached - planned) / planned:+.1%})" if planned else "")
        for objective, planned, reached in pairs
    ]
