"""`partwise bench`: a package or a machine → measured rates."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
import msgspec

from partwise import api
from partwise.cli.applicable import refuse_all_but
from partwise.cli.option_types import THREADS, Finite, Size
from partwise.cli.options import PATH, check_parent, json_option
from partwise.cli.output import counted, print_json
from partwise.cli.render_bench import show_bench, show_suite
from partwise.digest import canonical_json
from partwise.files import write_whole
from partwise.measurement import LOCAL_EXECUTORS, Settings, Suite, bench_package
from partwise.measurement.criteria import CRITERIA, SUITES
from partwise.measurement.suite import Machine, judge
from partwise.packaging import Package, open_package
from partwise.runtime import Progress

__all__ = ["bench"]


@click.command()
@click.argument("package", type=PATH, required=False)
@click.option("--suite", type=click.Choice(SUITES), help="The source's acceptance list on this machine.")
@click.option("--against", type=click.Choice(["uncut"]), help="Measure the uncut model in turns with the package.")
@click.option(
    "--executor",
    "executors",
    multiple=True,
    type=click.Choice(LOCAL_EXECUTORS),
    help="Repeatable; by default all that need nothing but this machine.",
)
@click.option("--engine", help="By default the one it was cut for; per stage as torch,compile or 1=openvino:GPU.")
@click.option("--threads", type=THREADS, help="Of each stage (default: the cores shared among the stages).")
@click.option("--in-flight", type=click.IntRange(1), help="Requests under way at once (default: stages + 1).")
@click.option("--seconds", type=Finite(0.01), default=2.0, show_default=True, help="Of a measure, a round.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Turns of all measures.")
@click.option("--size", "sizes", multiple=True, type=Size(), help="Of the random inputs, as batch=4; repeatable.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random inputs.")
@click.option("-o", "--output", type=PATH, help="Write the record here too, as JSON.")
@json_option
def bench(
    package: Path | None, suite: str | None, against: str | None, output: Path | None, as_json: bool, **given: Any
) -> None:
    """Measure a package: throughput, latency, each stage; predicted beside measured.

    Everything is measured in turns, round after round, so that shares hold on a shared machine too. With --suite
    each criterion is met, missed or not measurable here; without PACKAGE on small blocks made for it.

    \b
    Example:  partwise bench package/ --against uncut
              partwise bench --suite laptop -o here.json
    """
    check_parent(output)
    if suite is not None:
        refuse_all_but({"package", "suite", "seconds", "rounds", "output", "as_json"}, "is not for --suite.")
        with counted("measured") as on_progress:
            judged = judged_here(suite, package, given["seconds"], given["rounds"], on_progress)
        _put_out(msgspec.to_builtins(judged), output, as_json)
        if not as_json:
            show_suite(judged)
        return
    if package is None:
        raise click.UsageError("Missing argument 'PACKAGE'.")
    given["executors"] = tuple(given["executors"]) or LOCAL_EXECUTORS
    settings = Settings(uncut=against is not None, sizes=dict(given.pop("sizes")), **given)
    with counted("measured") as on_progress:
        done = bench_package(open_package(package), settings, on_progress)
    _put_out(msgspec.to_builtins(done), output, as_json)
    if not as_json:
        show_bench(done)


def judged_here(suite: str, path: Path | None, seconds: float, rounds: int, on_progress: Progress) -> Suite:
    """A suite on a package, or on the built-in blocks in two stages."""
    with tempfile.TemporaryDirectory(prefix="partwise-suite-") as folder:
        package = open_package(path) if path is not None else _built_in(Path(folder) / "package")
        machine = Machine(package=package, is_built_in=path is None, seconds=seconds, rounds=rounds)
        return judge(suite, CRITERIA, machine, on_progress)


def _built_in(folder: Path) -> Package:
    model = "partwise.measurement.blocks:blocks"
    return api.cut(model, api.plan(api.capture(model), stages=2), folder)


def _put_out(data: Any, output: Path | None, as_json: bool) -> None:
    if output is not None:
        write_whole(output, canonical_json(data))
    if as_json:
        print_json(data)
