"""`partwise capture`: model → graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from partwise import api
from partwise.cli.options import PATH, capture_options, check_parent, json_option, model_argument, take_capture_options
from partwise.cli.output import print_json, timed
from partwise.digest import canonical_json
from partwise.files import write_whole
from partwise.ir import graph_to_data

__all__ = ["capture"]


@click.command()
@model_argument
@capture_options
@click.option(
    "--cache",
    type=click.IntRange(1),
    help="A language model with preallocated K/V of so many tokens a sequence: one graph for prefill and decode.",
)
@click.option("-o", "--output", type=PATH, help="Save the graph here, as JSON.")
@json_option
def capture(model: str, output: Path | None, cache: int | None, as_json: bool, **given: Any) -> None:
    """Read a model as a graph and say what it is.

    MODEL is an ONNX file, a Hugging Face folder or hub name, weights with --config or --module, a .pt2, a saved
    graph, or package.module:function.

    \b
    Example:  partwise capture resnet50.onnx -o graph.json
              partwise capture llama/ --no-weights --cache 4096 -o llama.json
    """
    check_parent(output, model, given["config"])
    with timed("captured"):
        graph = api.capture_with(model, replace(take_capture_options(given), cache=cache))
    data = graph_to_data(graph)
    if output is not None:
        write_whole(output, canonical_json(data))
    if as_json:
        print_json(data)
    else:
        from partwise.cli.render import show_graph

        show_graph(graph, api.profile(graph))
