"""`partwise plan`: profile → plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from partwise import api
from partwise.cli.options import (
    PATH,
    capture_options,
    check_parent,
    json_option,
    model_argument,
    plan_options,
    take_capture_options,
    take_plan_options,
)
from partwise.cli.output import print_json, timed
from partwise.cli.render import show_plan
from partwise.digest import canonical_json
from partwise.files import write_whole
from partwise.planning import plan_to_data

__all__ = ["plan"]


@click.command()
@model_argument
@plan_options
@capture_options
@click.option("-o", "--output", type=PATH, help="Save the plan here, as JSON with its graph.")
@json_option
def plan(model: str, output: Path | None, as_json: bool, **given: Any) -> None:
    """Divide a model into stages, and say how good the division can be at most.

    With --no-weights the sizes given are captured as they are (static), which is faster.

    \b
    Example:  partwise plan llama-70b/ --no-weights --memory 12GiB --batch 1 --sequence 2048
              partwise plan graph.json --stages 4 --objective balance -o plan.json
    """
    check_parent(output)
    limits, options = take_plan_options(given), take_capture_options(given)
    if not options.weights:
        options = replace(options, static=True)
    with timed("captured"):
        graph = api.capture_with(model, options)
    with timed("planned"):
        made = api.plan(graph, sizes=api.sizes_for(graph, options), **limits)
    if output is not None:
        write_whole(output, canonical_json(plan_to_data(made, with_graph=True)))
    if as_json:
        print_json(plan_to_data(made, with_graph=False))
    else:
        show_plan(made)
