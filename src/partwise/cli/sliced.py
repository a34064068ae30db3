"""What `run`, `verify` and `full-run` do where the path is a sliced model: `slices/`, `run/run_<n>`, a model folder."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import click

from partwise.cli.compile import take_settings
from partwise.cli.output import counted, print_json, timed
from partwise.cli.proof_options import asked_for, asked_prover, circuits_prover, limited_prover, take_prover
from partwise.cli.proof_render import (
    proof_verdict_to_data,
    proved_to_data,
    show_compiled,
    show_proof_verdict,
    show_proved,
    show_sliced_run,
    sliced_run_to_data,
)
from partwise.cli.proof_workers import say, take_farm
from partwise.dsperse import (
    PROOFS,
    Layout,
    compile_slices,
    find_layout,
    find_run,
    is_sliced_run,
    parse_layers,
    proofs_prover,
    prove_run,
    read_manifest,
    refuse_stale,
    run_slices,
    segment_count,
    slice_model,
    unfinished_run,
    verify_archive,
    verify_sliced_run,
)
from partwise.errors import InputError
from partwise.packaging import is_package
from partwise.verification import Outcome
from partwise.verification.zk import PROVERS, CallLimits, CircuitSettings, ProofVerdict, Prover
from partwise.verification.zk.workers import Farm

__all__ = ["full_run_sliced", "is_archive", "run_sliced", "sliced_model", "verify_archived", "verify_sliced"]

_VERIFY_S = 600.0
_VERIFY_BYTES = 8 << 30
"""Time and memory of checking one proof: tens of milliseconds and of megabytes in all that was measured."""


def sliced_model(path: Path | None) -> Layout | None:
    """The sliced model that a path or the current folder belongs to; None where it is a package or a run of ours."""
    here = path or Path.cwd()
    if is_package(here) or not here.is_dir():
        return None
    if (here / "run_result.json").is_file() and not is_sliced_run(here):
        return None
    return find_layout(here)


def is_archive(path: Path) -> bool:
    """Whether a path is an archive, as which only proofs come."""
    return path.is_file() and (path.suffix == ".zip" or zipfile.is_zipfile(path))


def run_sliced(layout: Layout, path: Path | None, inputs: Path | None, as_json: bool, given: dict[str, Any]) -> None:
    """`run slices/`."""
    prover = take_prover(given, circuits_prover(given, layout))
    layers, max_error = given["layers"], given["max_error"]
    if inputs is None and path is not None and is_sliced_run(path):
        inputs = path / "input.json"
    inputs = _ask_input(layout.folder, inputs)
    chosen = None if layers is None else parse_layers(layers, segment_count(layout))
    with counted("run") as on_progress:
        done = run_slices(layout, prover, inputs, layers=chosen, max_error=max_error, on_progress=on_progress)
    if as_json:
        print_json(sliced_run_to_data(done))
    else:
        show_sliced_run(done)


def verify_sliced(layout: Layout, path: Path | None, as_json: bool, given: dict[str, Any]) -> int:
    """`verify run/run_<n>`; returns the exit code."""
    run = find_run(layout, path or Path.cwd())
    prover = _judge(run / PROOFS, given)
    with timed("verified"):
        found = verify_sliced_run(layout, run, prover, **given)
    return _judged(found, as_json)


def verify_archived(path: Path, as_json: bool, given: dict[str, Any]) -> int:
    """`verify proofs.zip`; returns the exit code."""
    prover = _judge(path, given)
    with timed("verified"):
        found = verify_archive(path, prover, **given)
    return _judged(found, as_json)


def full_run_sliced(model: Path, inputs: Path | None, as_json: bool, given: dict[str, Any]) -> int:
    """`full-run --proof`: slice, compile, run, prove, verify, each only where it is not done; returns the exit code."""
    limits = {name: given.pop(name) for name in ("max_parameters", "max_layers", "stages", "batch")}
    layers, max_error, out = given.pop("layers"), given.pop("max_error"), given.pop("output")
    farm = _farm(given, limits)
    kind = asked_prover(given)
    prover, settings = take_prover(given, kind), take_settings(given, kind)
    memory = _memory(given["memory"], settings, layers, farm)
    inputs = _ask_input(model if model.is_dir() else model.parent, inputs)
    layout = _sliced_now(model, out, limits)
    chosen = None if layers is None else parse_layers(layers, segment_count(layout))
    with counted("compiled") as on_progress:
        compiled = compile_slices(
            layout, prover, settings, layers=chosen, inputs=inputs, memory_bytes=memory, on_progress=on_progress
        )
    run = unfinished_run(layout, prover, inputs, chosen, max_error)
    if run is None:
        with counted("run") as on_progress:
            run = run_slices(layout, prover, inputs, layers=chosen, max_error=max_error, on_progress=on_progress)
    with counted("proved") as on_progress:
        result = prove_run(layout, run.path, prover, farm=farm, on_progress=on_progress, on_incident=say)
    with timed("verified"):
        found = verify_sliced_run(layout, run.path, prover, inputs=inputs)
    if as_json:
        verdict = {"verdict": proof_verdict_to_data(found), "manifest": result.pinned}
        print_json(sliced_run_to_data(run) | proved_to_data(result) | verdict)
        return 0 if found.verdict.outcome is Outcome.ACCEPTED else 1
    show_compiled(compiled)
    show_sliced_run(run)
    show_proved(run.path, result, read_manifest(layout))
    return _judged(found, as_json)


def _memory(memory: int | None, settings: CircuitSettings, layers: str | None, farm: Farm | None) -> int | None:
    """Of one proof, as of `compile --memory`; without integer mode it is of a worker alone.

    Raises:
        UsageError: it would limit nothing.
    """
    if memory is None or (not settings.integer and farm is not None):
        return None
    if not settings.integer or layers is not None:
        raise click.UsageError("--memory divides all segments, in integer mode: with --integer, without --layers; "
                               "or it is of a worker: --workers.")  # fmt: skip
    return memory


def _farm(given: dict[str, Any], limits: dict[str, Any]) -> Farm | None:
    """Workers with the limits of the slices, which bind also where the slices were there before."""
    if (workers := given.pop("workers")) is None:
        return None
    stated = {"memory": given["memory"]} | {name: limits[name] for name in ("max_parameters", "max_layers")}
    return take_farm(workers, stated, given["time_limit"])


def _sliced_now(model: Path, out: Path | None, limits: dict[str, Any]) -> Layout:
    """A model's slices; those that a model folder holds already are taken as they are."""
    if model.is_dir():
        known = find_layout(model)
        if known is not None:
            refuse_stale(known)
            return known
        models = sorted(model.glob("*.onnx"))
        if len(models) != 1:
            raise InputError(str(model), "holds no model to slice", expected="one .onnx file", got=len(models))
        model = models[0]
    with counted("sliced") as on_progress:
        layout, _ = slice_model(model, out, on_progress=on_progress, **limits)
    return layout


def _ask_input(folder: Path, inputs: Path | None) -> Path:
    usual = folder / "input.json"
    suggested = usual if usual.is_file() else None
    return asked_for(inputs, "Input file", click.Path(path_type=Path), option="--input", suggested=suggested)


def _judge(proofs: Path, given: dict[str, Any]) -> Prover:
    """The prover that checks what comes from anywhere, of the manifest's kind: a hostile key gets no more than this.

    One that is unknown here is left to the verifier to say so. A program is run only if the caller says which.
    """
    limits = CallLimits(seconds=_VERIFY_S, memory_bytes=_VERIFY_BYTES)
    kind, templates = proofs_prover(proofs, given["manifest"]), given.pop("templates")
    if templates is not None and kind != "command":
        raise InputError("--templates", "are for proofs of a program", expected="prover `command`", got=kind)
    return limited_prover(kind if kind in PROVERS else "ezkl", limits, templates=templates)


def _judged(found: ProofVerdict, as_json: bool) -> int:
    if as_json:
        print_json(proof_verdict_to_data(found))
    else:
        show_proof_verdict(found)
    return 0 if found.verdict.outcome is Outcome.ACCEPTED else 1
