"""`partwise compile`: slices/ → circuits, keys, and the manifest that pins them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from partwise.cli.option_types import Bytes
from partwise.cli.options import PATH, json_option
from partwise.cli.output import counted, print_json
from partwise.cli.proof_options import (
    SCALES,
    asked_for,
    asked_prover,
    circuit_options,
    layers_option,
    prover_options,
    sliced,
    take_prover,
)
from partwise.cli.proof_render import compiled_to_data, show_compiled
from partwise.dsperse import compile_slices, parse_layers, segment_count
from partwise.verification.zk import CircuitSettings, Visibility

__all__ = ["compile", "take_settings"]

_LACKING = {"ezkl": ("queries",), "recompute": ("integer", "logrows", "columns", "base", "legs")}
"""What a prover has no use for."""


@click.command()
@click.argument("path", type=PATH, required=False)
@layers_option
@circuit_options
@click.option("--input", "inputs", type=PATH, help="A request to size lookups by (default: seeded random values).")
@click.option("--memory", type=Bytes(), help="Of one proof, with --integer: larger segments are divided.")
@prover_options
@json_option
def compile(
    path: Path | None, layers: str | None, inputs: Path | None, memory: int | None, as_json: bool, **given: Any
) -> None:
    """Make each segment's circuit and keys; what is finished and unchanged is reused.

    The digest printed at the end is the pin: give it to whoever verifies.

    \b
    Example:  partwise compile slices/ --layers 0,2-4
              partwise compile slices/ --integer --scale 10 --memory 512MB
              partwise compile slices/ --prover recompute --scale 12
    """
    layout, kind = sliced(path), asked_prover(given)
    prover, settings = take_prover(given, kind), take_settings(given, kind)
    if memory is not None and (layers is not None or not settings.integer):
        raise click.UsageError("--memory divides all segments, in integer mode: with --integer, without --layers.")
    chosen = None if memory is not None else parse_layers(layers, segment_count(layout))
    before = segment_count(layout)
    with counted("compiled") as on_progress:
        done = compile_slices(
            layout, prover, settings, layers=chosen, inputs=inputs, memory_bytes=memory, on_progress=on_progress
        )
    if (after := len(done.manifest.segments)) != before:
        click.echo(f"divided to keep --memory: {before} → {after} segments", err=True)
    if as_json:
        print_json(compiled_to_data(done))
    else:
        show_compiled(done)


def take_settings(given: dict[str, Any], prover: str) -> CircuitSettings:
    """Take the options of `circuit_options` out of a verb's arguments; the main ones are asked for at a terminal.

    Raises:
        UsageError: options that the prover does not have.
    """
    usual = CircuitSettings()
    names = ("scale", "integer", "logrows", "columns", "base", "legs", "queries", "visibility")
    chosen = {name: given.pop(name) for name in names}
    for name in _LACKING.get(prover, ()):
        if chosen[name]:
            raise click.UsageError(f"--{name} is not for --prover {prover}.")
    chosen["scale"] = asked_for(chosen["scale"], "Fixed-point bits", SCALES, usual.scale, option="--scale")
    kinds = click.Choice([kind.value for kind in Visibility])
    if prover != "ezkl":  # the others show values, and refuse to be asked for less
        chosen["visibility"] = chosen["visibility"] or Visibility.PUBLIC.value
    word = asked_for(chosen["visibility"], "Values in proofs", kinds, usual.visibility.value, option="--visibility")
    chosen["visibility"] = Visibility(word)
    return CircuitSettings(**{name: value for name, value in chosen.items() if value is not None})
