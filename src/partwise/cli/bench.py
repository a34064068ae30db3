"""`partwise bench`: a package or a machine → measured rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from partwise.cli.options import PATH, Size, check_parent, json_option
from partwise.cli.output import counted, print_json
from partwise.cli.render_bench import show_bench
from partwise.digest import canonical_json
from partwise.files import write_whole
from partwise.measurement import LOCAL_EXECUTORS, Settings, bench_package
from partwise.packaging import open_package

__all__ = ["bench"]


@click.command()
@click.argument("package", type=PATH, required=False)
@click.option("--against", type=click.Choice(["uncut"]), help="Measure the uncut model in turns with the package.")
@click.option(
    "--executor",
    "executors",
    multiple=True,
    type=click.Choice(LOCAL_EXECUTORS),
    help="Repeatable; by default all that need nothing but this machine.",
)
@click.option("--engine", help="By default the one it was cut for; per stage as torch,compile or 1=openvino:GPU.")
@click.option("--threads", type=click.IntRange(1), help="Of each stage (default: the cores shared among the stages).")
@click.option("--in-flight", type=click.IntRange(1), help="Requests under way at once (default: stages + 1).")
@click.option("--seconds", type=click.FloatRange(0.01), default=2.0, show_default=True, help="Of a measure, a round.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Turns of all measures.")
@click.option("--size", "sizes", multiple=True, type=Size(), help="Of the random inputs, as batch=4; repeatable.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random inputs.")
@click.option("-o", "--output", type=PATH, help="Write the record here too, as JSON.")
@json_option
def bench(package: Path | None, against: str | None, output: Path | None, as_json: bool, **given: Any) -> None:
    """Measure a package: throughput, latency, each stage; predicted beside measured.

    Everything is measured in turns, round after round, so that shares hold on a shared machine too.

    \b
    Example:  partwise bench package/ --against uncut
    """
    check_parent(output)
    if package is None:
        raise click.UsageError("Missing argument 'PACKAGE'.")
    given["executors"] = tuple(given["executors"]) or LOCAL_EXECUTORS
    settings = Settings(uncut=against is not None, sizes=dict(given.pop("sizes")), **given)
    with counted("measured") as on_progress:
        done = bench_package(open_package(package), settings, on_progress)
    data = msgspec.to_builtins(done)
    if output is not None:
        write_whole(output, canonical_json(data))
    if as_json:
        print_json(data)
    else:
        show_bench(done)
