"""`partwise prove`: a run's witnesses → proofs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from partwise.cli.options import PATH, check_parent, json_option
from partwise.cli.output import counted, print_json
from partwise.cli.proof_options import circuits_prover, layers_option, prover_options, sliced, take_prover
from partwise.cli.proof_render import show_proved
from partwise.dsperse import find_run, parse_layers, prove_run, read_manifest, segment_count

__all__ = ["prove"]


@click.command()
@click.argument("path", type=PATH, required=False)
@layers_option
@click.option("-o", "--output", type=PATH, help="Copy the proofs here, as one .zip for whoever verifies.")
@prover_options
@json_option
def prove(path: Path | None, layers: str | None, output: Path | None, as_json: bool, **given: Any) -> None:
    """Prove each segment of a run that has a witness; finished proofs are kept.

    PATH is a run; by default the one that the current folder lies in, or the newest.

    \b
    Example:  partwise prove run/run_1 -o proofs.zip
    """
    check_parent(output)
    layout = sliced(path)
    prover = take_prover(given, circuits_prover(given, layout))
    run = find_run(layout, path or Path.cwd())
    chosen = None if layers is None else parse_layers(layers, segment_count(layout))
    with counted("proved") as on_progress:
        result = prove_run(layout, run, prover, layers=chosen, out=output, on_progress=on_progress)
    if as_json:
        print_json(msgspec.to_builtins(result) | {"path": str(run)})
    else:
        show_proved(run, result, read_manifest(layout))
