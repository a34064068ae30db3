"""`partwise run`: package → run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from partwise import api
from partwise.cli.options import PATH, check_parent, json_option, run_options, take_run_options
from partwise.cli.output import counted, print_json
from partwise.cli.render import show_run
from partwise.cli.worker_options import take_worker_options, worker_options
from partwise.files import copy_whole
from partwise.runtime import run_to_data

__all__ = ["run"]


@click.command()
@click.argument("package", type=PATH)
@run_options
@worker_options
@click.option("-o", "--output", type=PATH, help="Copy the outputs here, as .npz.")
@click.option("--trace", type=PATH, help="Write what each segment and hand-over took here, as JSON.")
@click.option("--trace-nodes", is_flag=True, help="With --trace: each node too.")
@json_option
def run(package: Path, output: Path | None, trace: Path | None, trace_nodes: bool, as_json: bool, **given: Any) -> None:
    """Run a package on inputs, or on seeded random values, and leave run_<n>/ beside it.

    PACKAGE may be a saved run: its package is run again, on the inputs that it recorded.

    \b
    Example:  partwise run package/ --input x.npz -o out.npz
              partwise run package/ --input frames/ --workers 2 --in-flight 3
    """
    if trace_nodes and trace is None:
        raise click.UsageError("--trace-nodes needs --trace, the file that it writes to")
    check_parent(output)
    check_parent(trace)
    options = take_run_options(given) | take_worker_options(given)
    with counted("run") as on_progress:
        done = api.run(package, trace=trace, trace_nodes=trace_nodes, on_progress=on_progress, **options)
    if output is not None and done.path is not None:
        copy_whole(done.path / "outputs.npz", output)
    if as_json:
        print_json(run_to_data(done.record))
    else:
        show_run(done)
