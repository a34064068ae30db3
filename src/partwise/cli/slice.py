"""`partwise slice`: an ONNX model → slices/, segments that can be proved."""

from __future__ import annotations

from pathlib import Path

import click

from partwise.cli.options import PATH, json_option
from partwise.cli.output import counted, print_json
from partwise.cli.proof_options import asked_for, asked_model
from partwise.cli.proof_render import show_slices
from partwise.dsperse import slice_metadata, slice_model

__all__ = ["slice"]


@click.command()
@click.argument("model", type=PATH, required=False)
@click.option("--max-nodes", type=click.IntRange(1), help="Parameters of a segment at most (Dsperse's word).")
@click.option("--max-layers", type=click.IntRange(1), help="Layers of a segment at most (default: 1).")
@click.option("--segments", type=click.IntRange(1), help="Exactly so many segments.")
@click.option("--proof", is_flag=True, help="Cut where proofs become cheap.")
@click.option("--batch", type=click.IntRange(1), help="Fix the batch of a model that leaves it open.")
@click.option("-o", "--output", type=PATH, help="Model folder (default: the one of the model).")
@json_option
def slice(
    model: Path | None,
    max_nodes: int | None,
    max_layers: int | None,
    segments: int | None,
    proof: bool,
    batch: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Cut an ONNX model, as it is, into slices/ that can be proved one by one.

    \b
    Example:  partwise slice model.onnx --max-layers 2
    """
    model = model or Path(asked_model())
    if max_nodes is None and segments is None:
        question = "Layers of a segment at most"
        max_layers = asked_for(max_layers, question, click.IntRange(1), 1, option="--max-layers")
    with counted("sliced") as on_progress:
        layout, _ = slice_model(
            model,
            output,
            max_parameters=max_nodes,
            max_layers=max_layers,
            stages=segments,
            objective="proof" if proof else None,
            batch=batch,
            on_progress=on_progress,
        )
    found = slice_metadata(layout)
    if as_json:
        print_json(found)
    else:
        show_slices(layout, found)
