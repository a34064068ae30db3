"""`partwise plan`: profile → plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from partwise import api
from partwise.cli.emission import emit_option, give_emission
from partwise.cli.options import (
    PATH,
    capture_options,
    check_parent,
    json_option,
    optional_model_argument,
    plan_options,
    take_capture_options,
    take_plan_options,
)
from partwise.cli.output import print_json, timed
from partwise.cli.pipeline import pipeline_options, predicted, show_pipeline, take_pipeline_options
from partwise.cli.render import show_placement, show_plan
from partwise.digest import canonical_json
from partwise.files import write_whole
from partwise.planning import plan_to_data

__all__ = ["plan"]


@click.command()
@optional_model_argument
@plan_options
@click.option("--workload", type=PATH, help="Instead of a model: costs in the public benchmark's JSON format.")
@capture_options
@click.option("-o", "--output", type=PATH, help="Save the plan here, as JSON with its graph.")
@emit_option
@pipeline_options
@json_option
def plan(model: str | None, workload: Path | None, output: Path | None, as_json: bool, **given: Any) -> None:
    """Divide a model into stages, and say how good the division can be at most.

    With --no-weights the sizes given are captured as they are (static), which is faster.

    \b
    Example:  partwise plan llama-70b/ --no-weights --memory 12GiB --batch 1 --sequence 2048
              partwise plan graph.json --stages 4 --objective balance -o plan.json
              partwise plan vit/ --no-weights --cluster home.toml --objective throughput
              partwise plan llama/ --no-weights --cluster home.toml --emit vllm
              partwise plan vit/ --no-weights --stages 4 --microbatches 8
              partwise plan --workload bert_l-6_op_inference.json
    """
    target = given.pop("target")
    microbatches, schedule = take_pipeline_options(given, is_shown=target is None and workload is None)
    if workload is not None:
        if target is not None:
            raise click.UsageError("--emit writes the plan of a model, not of a --workload.")
        _place(model, workload, output, as_json)
        return
    if model is None:
        raise click.UsageError("Missing argument 'MODEL' (or --workload FILE).")
    check_parent(output)
    limits, options = take_plan_options(given), take_capture_options(given)
    if not options.weights:
        options = replace(options, static=True)
    with timed("captured"):
        graph = api.capture_with(model, options)
    with timed("planned"):
        made = api.plan(graph, sizes=api.sizes_for(graph, options), **limits)
    if target is not None:
        give_emission(made, target, output, as_json=as_json)
        return
    if output is not None:
        write_whole(output, canonical_json(plan_to_data(made, with_graph=True)))
    if as_json:
        pipeline = {} if microbatches is None else {"pipeline": predicted(made, microbatches, schedule)}
        print_json(plan_to_data(made, with_graph=False) | msgspec.to_builtins(pipeline))
        return
    show_plan(made)
    if microbatches is not None:
        show_pipeline(made, microbatches, schedule)


def _place(model: str | None, workload: Path, output: Path | None, as_json: bool) -> None:
    """Place a workload, with no model behind it."""
    if model is not None or output is not None:
        raise click.UsageError("--workload stands instead of MODEL, and its answer is printed (--json).")
    with timed("placed"):
        found = api.place_workload(workload)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        show_placement(found)
