"""`partwise run`: package → run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from partwise import api
from partwise.cli.applicable import refuse, refuse_all_but
from partwise.cli.config import config_option, given_to_run
from partwise.cli.option_types import Finite
from partwise.cli.options import PATH, check_parent, json_option, run_options, take_run_options
from partwise.cli.output import counted, print_json
from partwise.cli.proof_options import PROVER_NAMES, asked_path, layers_option, prover_options
from partwise.cli.render import show_run
from partwise.cli.sliced import run_sliced, sliced_model
from partwise.cli.watch import Watch, watched
from partwise.cli.worker_options import take_worker_options, worker_options
from partwise.files import copy_whole
from partwise.runtime import TRACE_FORMATS, run_to_data
from partwise.runtime.config import Config, check_config, configured_engine, configured_workers, make_pace
from partwise.runtime.telemetry.spans import wanted_exporter

__all__ = ["run"]

_PROOFS = ("layers", "max_error", *PROVER_NAMES)


@click.command()
@click.argument("package", type=PATH, required=False)
@run_options
@worker_options
@click.option("-o", "--output", type=PATH, help="Copy the outputs here, as .npz.")
@click.option("--trace", type=PATH, help="Write what each segment and hand-over took here, as JSON.")
@click.option("--trace-nodes", is_flag=True, help="With --trace: each node too.")
@layers_option
@click.option("--max-error", type=Finite(min=0), help="slices/: of outputs against onnxruntime's, at most.")
@prover_options
@click.option(
    "--trace-format",
    type=click.Choice(list(TRACE_FORMATS)),
    default="partwise",
    show_default=True,
    help="Of --trace: ours, or what Perfetto and chrome://tracing open.",
)
@click.option("--watch", is_flag=True, help="A table of the stages while it runs, on stderr.")
@config_option(given_to_run)
@json_option
def run(
    package: Path | None,
    config: Config | None,
    output: Path | None,
    trace: Path | None,
    trace_nodes: bool,
    trace_format: str,
    watch: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Run a package on inputs, or on seeded random values, and leave run_<n>/ beside it.

    PACKAGE may be a saved run: its package is run again, on the inputs that it recorded. It may be slices/ of a
    sliced model: then each segment that has a circuit leaves a witness to prove.

    \b
    Example:  partwise run package/ --input x.npz -o out.npz
              partwise run package/ --input frames/ --workers 2 --in-flight 3
    """
    if trace is None:
        refuse({"trace_format"}, "is of --trace, the file that it writes to.")
    if given["executor"] != "ray":
        refuse({"address"}, "is of a cluster: --executor ray.")
    if trace_nodes and trace is None:
        raise click.UsageError("--trace-nodes needs --trace, the file that it writes to")
    if package is None and sliced_model(None) is None:
        package = asked_path("Package, or folder of a sliced model", "PACKAGE")
    if (layout := sliced_model(package)) is not None:
        refuse_all_but({"package", "inputs", "as_json", *_PROOFS}, "is for packages, and this is slices/.")
        return run_sliced(layout, package, given["inputs"], as_json, given)
    assert package is not None, "asked for, or a sliced model's folder"
    refuse(_PROOFS, "is for slices/, and this is a package.")
    for name in _PROOFS:
        given.pop(name)
    check_parent(output)
    check_parent(trace)
    options = take_run_options(given) | take_worker_options(given)
    if config is not None:
        opened = api.package_of(package)
        check_config(config, opened)
        options["engine"] = configured_engine(config, opened, options["engine"])
        options["pace"] = make_pace(config)
        options["weights"] = config.memory.weights
        if options["executor"] != "ray":  # a budget is of this machine
            options["workers"] = configured_workers(config, opened, options["workers"])
        if config.faults is not None:
            fallback = config.faults.cpu_fallback or options["policy"].cpu_fallback
            options["policy"] = replace(config.faults, cpu_fallback=fallback)
    tracing: dict[str, Any] = {"trace": trace, "trace_nodes": trace_nodes, "trace_format": trace_format}
    keep = trace is not None or wanted_exporter() is not None
    with watched(keep=keep) if watch else counted("run") as progress:
        if isinstance(progress, Watch):
            tracing["live"] = progress.trace
        done = api.run(package, on_progress=progress, **tracing, **options)
    if output is not None and done.path is not None:
        copy_whole(done.path / "outputs.npz", output)
    if as_json:
        print_json(run_to_data(done.record))
    else:
        show_run(done)
