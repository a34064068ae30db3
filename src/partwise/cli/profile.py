"""`partwise profile`: graph → profile."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from partwise import api
from partwise.cli.options import capture_options, json_option, model_argument, take_capture_options
from partwise.cli.output import print_json, timed
from partwise.cli.render import show_profile

__all__ = ["profile"]


@click.command()
@model_argument
@capture_options
@click.option("--depth", type=click.IntRange(1), default=3, show_default=True, help="Steps of a module's path.")
@json_option
def profile(model: str, depth: int, as_json: bool, **given: Any) -> None:
    """Count a model's MACs, FLOPs, parameters and bytes, by module.

    \b
    Example:  partwise profile resnet50.onnx
    """
    options = take_capture_options(given)
    with timed("captured"):
        graph = api.capture_with(model, options)
    found = api.profile(graph, api.sizes_for(graph, options))
    if as_json:
        totals = {"macs": found.macs, "flops": found.flops}
        print_json(msgspec.to_builtins(found) | totals)
    else:
        show_profile(found, depth)
