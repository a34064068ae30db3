"""plan → package → run: cutting, and running what was cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from partwise import runtime, verification
from partwise.api.saved import package_beside
from partwise.cutting import cut_plan, encode_whole
from partwise.digest import canonical_json
from partwise.errors import InputError
from partwise.frontends import CaptureOptions, open_model
from partwise.frontends.stale import capture_again, refuse_other_graph
from partwise.ir import graph_to_data
from partwise.packaging import Manifest, Package, open_package, write_package
from partwise.planning import Plan, plan_to_data
from partwise.runtime import Run, is_run, load_run

__all__ = ["cut", "package_of", "run"]


def cut(
    model: Any,
    plan: Plan,
    out: str | Path,
    *,
    check: bool = True,
    threads: int | None = None,
    config: str | None = None,
    module: str | None = None,
) -> Package:
    """Write the segments of a plan: plan → package.

    Args:
        model: what the plan's graph was captured from.
        plan: stages of that graph.
        out: the package's folder; a package that is there already is replaced, its blobs are kept.
        check: run the chain against the whole, bit for bit, and the whole against the model.
        threads: of the engine that checks.
        config: Hugging Face config for a file of weights.
        module: `package.module:function` that builds the module for a file of weights.

    Raises:
        StalePlanError: the model is not the one that was planned.
        PackageError: `out` is something else than a package, or the disk refuses.
    """
    source = open_model(model, CaptureOptions(config=config, module=module), captured=plan.graph)
    if isinstance(model, str | Path):
        refuse_other_graph(plan.graph, capture_again(source, plan.graph, str(model)), str(model))
    manifest, segments = cut_plan(plan)
    manifest = replace(manifest, model=_name(model, manifest.model))
    plan_bytes = canonical_json(plan_to_data(plan, with_graph=False))

    def checked(package: Package) -> Manifest:
        found = verification.check_package(package, source, plan.graph, threads=threads)
        return replace(package.manifest, exact=found.exact, difference=found.difference)

    return write_package(
        Path(out),
        manifest,
        plan_bytes,
        encode_whole(plan.graph),
        segments,
        source.weights(plan.graph),
        checked if check else None,
        graph=canonical_json(graph_to_data(plan.graph)),
    )


def run(package: Package | str | Path, inputs: object = None, **options: Any) -> Run:
    """Run a package: package → run.

    Args:
        package: an open package or its folder; or a saved run, whose package is run again on the inputs it recorded.
        inputs: arrays by name; a sequence of such requests; a path of an `.npz`, a `.json` or a folder of them; None
            makes seeded random values.
        **options: fields of `partwise.runtime.RunOptions`: executor, threads, seed, sizes, run_dir, trace …

    Raises:
        InterfaceMismatchError: inputs that do not fit the model.
        PackageError: a package that is not what its manifest promises.
        RunError: a stage failed, or its process died.
    """
    if isinstance(package, str | Path) and is_run(Path(package)):
        inputs = _recorded(load_run(package)) if inputs is None else inputs
        package = package_of(package)
    return runtime.run_package(package, inputs, **options)


def package_of(path: str | Path) -> Package:
    """The package at a path, or that of the saved run at it.

    Raises:
        PackageError: there is none.
        InputError: a run whose package does not lie beside it.
    """
    if is_run(Path(path)):
        return package_beside(load_run(path)) or _refuse_alone(path)
    return open_package(path)


def _name(model: Any, inside: str) -> str:
    """What a model is called: as it calls itself, but an ONNX file as the file is. Its graph's name is as a rule the
    exporter's word for every graph (torch's: `main_graph`)."""
    path = Path(model) if isinstance(model, str | Path) else Path()
    return path.stem if path.suffix == ".onnx" else inside


def _recorded(run: Run) -> object:
    """The inputs of a run, as `run` takes them: one request, or a stream of them."""
    given = [request.inputs for request in run.requests]
    return given if run.record.stream else given[0]


def _refuse_alone(run: str | Path) -> NoReturn:
    raise InputError(str(run), "its package does not lie beside it", hint=f"run PACKAGE --input {run}/inputs.npz")
