"""`partwise full-run`: model → graph → profile → plan → package → run → verdict in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from partwise import api
from partwise.cli.applicable import refuse, refuse_all_but
from partwise.cli.option_types import Finite
from partwise.cli.options import (
    PATH,
    capture_options,
    json_option,
    optional_model_argument,
    plan_options,
    run_options,
    take_capture_options,
    take_plan_options,
    take_run_options,
)
from partwise.cli.output import counted, print_json, timed
from partwise.cli.proof_options import PROVER_NAMES, asked_model, circuit_options, layers_option, prover_options
from partwise.cli.proof_workers import prove_workers_option
from partwise.cli.render import show_plan, show_run, show_verdict
from partwise.cli.sliced import full_run_sliced, sliced_model
from partwise.frontends import open_model
from partwise.planning import plan_to_data
from partwise.runtime import run_to_data
from partwise.verification import Outcome, verdict_to_data

__all__ = ["full_run"]

_PROOFS = (
    *("layers", "max_error", "scale", "integer", "logrows", "columns", "base", "legs", "queries", "visibility"),
    *PROVER_NAMES,
    "workers",
)
_SLICING = (
    *("model", "named_model", "proof", "inputs", "output", "as_json"),
    *("stages", "max_parameters", "max_layers", "batch", "memory"),
)
"""What there is for slices too."""


@click.command("full-run")
@optional_model_argument
@plan_options
@capture_options
@run_options
@click.option("-o", "--output", type=PATH, help="Folder for package/ and run/ (default: <model>-parts).")
@click.option("--proof", is_flag=True, help="Slice, compile, run, prove and verify; so too where MODEL has slices/.")
@layers_option
@click.option("--max-error", type=Finite(min=0), help="Proofs: of outputs against onnxruntime's, at most.")
@circuit_options
@prove_workers_option
@prover_options
@json_option
@click.pass_context
def full_run(
    context: click.Context, model: str | None, output: Path | None, proof: bool, as_json: bool, **given: Any
) -> None:
    """Capture, plan, cut, run and verify a model, and show its stages.

    \b
    Example:  partwise full-run model.onnx --stages 3
              partwise full-run model.onnx --proof --input input.json
              partwise full-run model.onnx --proof --input input.json --integer --memory 512MB
    """
    model = model or _context_or_asked()
    if proof or sliced_model(Path(model)) is not None:
        refuse_all_but({*_PROOFS, *_SLICING}, "is not for --proof, which slices the model as it is.")
        context.exit(full_run_sliced(Path(model), given.pop("inputs"), as_json, given | {"output": output}))
    refuse(_PROOFS, "is for --proof.")
    if given["executor"] != "ray":
        refuse({"address"}, "is of a cluster: --executor ray.")
    for name in _PROOFS:
        given.pop(name)
    folder = output or Path(f"{Path(model).resolve().stem}-parts")
    limits, options, running = take_plan_options(given), take_capture_options(given), take_run_options(given)
    with timed("captured"):
        source = open_model(model, options)
        graph = api.capture_with(source, options)
    with timed("planned"):
        plan = api.plan(graph, sizes=api.sizes_for(graph, options), **limits)
    with timed("cut"):
        package = api.cut(source, plan, folder / "package")
    with counted("run") as on_progress:
        run = api.run(package, on_progress=on_progress, **running)
    with timed("verified"):
        verdict = api.verify(run, source, max_difference=running["max_difference"])
    if as_json:
        records = {"plan": plan_to_data(plan, with_graph=False), "run": run_to_data(run.record)}
        print_json(records | {"package": package.digest, "verdict": verdict_to_data(verdict)})
    else:
        show_plan(plan)
        show_run(run)
        show_verdict(verdict)
    context.exit(0 if verdict.outcome is Outcome.ACCEPTED else 1)


def _context_or_asked() -> str:
    """The sliced model that the current folder lies in; otherwise a model asked for at a terminal."""
    if (layout := sliced_model(None)) is not None:
        return str(layout.folder)
    return asked_model()
