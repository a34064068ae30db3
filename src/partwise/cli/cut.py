"""`partwise cut`: plan → package."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from partwise import api
from partwise.cli.option_types import THREADS
from partwise.cli.options import PATH, json_option
from partwise.cli.output import print_json, timed
from partwise.cli.render import show_package

__all__ = ["cut"]


@click.command()
@click.argument("model", type=click.Path())
@click.argument("plan", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="Folder of the package.")
@click.option("--no-check", is_flag=True, help="Do not run the chain against the whole.")
@click.option("--threads", type=THREADS, help="Threads of the engine that checks.")
@click.option("--config", help="Hugging Face config for a file of weights.")
@click.option("--module", help="package.module:function that builds the module for a file of weights.")
@json_option
def cut(
    model: str,
    plan: Path,
    output: Path,
    no_check: bool,
    threads: int | None,
    config: str | None,
    module: str | None,
    as_json: bool,
) -> None:
    """Write the segments of a plan, and check that chained they equal the whole bit for bit.

    \b
    Example:  partwise cut resnet50.onnx plan.json -o package/
    """
    with timed("cut"):
        package = api.cut(
            model, api.load_plan(plan), output, check=not no_check, threads=threads, config=config, module=module
        )
    if as_json:
        print_json(msgspec.to_builtins(package.manifest) | {"digest": package.digest, "unchanged": package.unchanged})
    else:
        show_package(package)
