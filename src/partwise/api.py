"""The six functions, each one arrow of model → graph → profile → plan → package → run → verdict.

They compose the packages below and decide nothing themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from partwise import planning, profiling, runtime, verification
from partwise.cutting import cut_plan, encode_whole
from partwise.digest import canonical_json
from partwise.errors import InputError, StalePlanError, VerifyError
from partwise.frontends import CaptureOptions, as_captured, open_model
from partwise.frontends.stale import capture_again, refuse_other_graph
from partwise.hardware import (
    REFERENCE_CLUSTER,
    Cluster,
    Device,
    catalog,
    find_device,
)
from partwise.ir import Graph, graph_to_data
from partwise.packaging import Manifest, Package, is_package, open_package, write_package
from partwise.plan_files import load_plan, read_cluster, read_constraints, read_devices, read_workload
from partwise.planning import (
    AXES,
    Blend,
    Constraints,
    Explanation,
    Front,
    Limits,
    Objective,
    PhasePlan,
    Placement,
    Plan,
    Reserve,
    parse_objectives,
    place,
    plan_to_data,
)
from partwise.profiling import Estimate, Logits, Phase, Profile, Rules, Unit
from partwise.runtime import Run, is_run, load_run
from partwise.units import parse_bytes
from partwise.verification import Original, Outcome, Verdict

__all__ = [
    "capture",
    "capture_with",
    "cut",
    "devices",
    "estimate",
    "estimate_counted",
    "explain",
    "load_plan",
    "package_of",
    "pareto",
    "place_workload",
    "plan",
    "plan_phases",
    "profile",
    "run",
    "sizes_for",
    "verify",
]


def capture(model: Any, example_inputs: Any = None, **options: Any) -> Graph:
    """The graph of a model: model → graph.

    Args:
        model: an `nn.Module`, an ONNX file, a Hugging Face folder, a hub name (`org/model[@revision]`), a file of
            weights with `config=` or `module=`, a `.pt2`, a saved graph, or `package.module:function`.
        example_inputs: a tuple of positional or a dict of keyword arguments; needed for an `nn.Module`.
        **options: fields of `CaptureOptions`: batch, sequence, image_size, dtype, static, weights, optimize,
            config, module.

    Raises:
        ModelError: it cannot be read or captured.
        UnsupportedOpError: an operator without a row in the operator table.
        UnsafeFileError: a file that would execute code.
    """
    return capture_with(model, CaptureOptions(example_inputs=example_inputs, **options))


def capture_with(model: Any, options: CaptureOptions) -> Graph:
    """`capture`, with the options as a record."""
    return open_model(model, options).capture()


def profile(graph: Graph, sizes: Mapping[str, int] | None = None) -> Profile:
    """What a graph costs: graph → profile.

    Args:
        graph: a captured graph.
        sizes: values for some of its symbols (`{"batch": 8}`); the others keep those of the capture.

    Raises:
        InputError: a symbol that the graph does not have.
    """
    return profiling.profile(graph, sizes)


def devices(names: str | Sequence[str]) -> tuple[Device, ...]:
    """Devices by name, as `profile --hardware` takes them.

    Args:
        names: of the catalog, `all` of it, or TOML files with entries of one's own; several as a sequence or
            separated by commas.

    Raises:
        DeviceError: an unknown name (the message has the nearest), or a file that is wrong.
    """
    found: list[Device] = []
    for name in names.split(",") if isinstance(names, str) else names:
        if name == "all":
            found.extend(catalog().devices)
        elif name.endswith(".toml"):
            found.extend(read_devices(Path(name)))
        else:
            found.append(find_device(name))
    return tuple(found)


def estimate(
    graph: Graph,
    device: Device | str,
    sizes: Mapping[str, int] | None = None,
    *,
    estimator: str = "roofline",
    fuse: str = "none",
) -> Estimate:
    """What a graph takes on a device: time, energy, utilization.

    Args:
        graph: a captured graph.
        device: an entry, or the name of one.
        sizes: values for some of the graph's symbols; the others keep those of the capture.
        estimator: `roofline`, or `simple` for the formulas of the source document.
        fuse: which nodes run as one kernel: `none`, `source`, `patterns` or `optimal`.

    Raises:
        DeviceError: an unknown name.
        InputError: a symbol that the graph does not have, or an unknown estimator.
    """
    known = devices(device)[0] if isinstance(device, str) else device
    return estimate_counted(graph, profile(graph, sizes), known, estimator, fuse)


def estimate_counted(
    graph: Graph, counted: Profile, device: Device, estimator: str = "roofline", fuse: str = "none"
) -> Estimate:
    """`estimate` of a graph whose costs are counted already."""
    match estimator:
        case "roofline":
            return profiling.estimate(counted, device, _groups(graph, counted, fuse))
        case "simple":
            return profiling.simple_estimate(graph, counted, device)
        case _:
            raise InputError("estimator", "is unknown", expected="roofline or simple", got=estimator)


def plan(
    graph: Graph,
    *,
    memory: str | int | None = None,
    stages: int | None = None,
    max_parameters: int | None = None,
    max_layers: int | None = None,
    cache: int | None = None,
    sequences: int | None = None,
    overhead: str | int | None = None,
    objective: str | Blend | Sequence[str] | None = None,
    cluster: Cluster | str | Path | None = None,
    constraints: Constraints | str | Path | None = None,
    solver: str = "auto",
    effort: int | None = None,
    sizes: Mapping[str, int] | None = None,
    fuse: str = "none",
    batch: str | None = None,
) -> Plan:
    """Where to divide a graph: profile → plan.

    Args:
        graph: a captured graph.
        memory: what a stage may hold, for example `12GiB` or bytes.
        stages: exactly so many.
        max_parameters: of a stage.
        max_layers: of a stage; a layer is a node with weights and the weightless nodes after it.
        cache: tokens of each sequence whose K/V every stage has room for; by default those of a graph with buffers.
        sequences: so many under way at once; by default the batch.
        overhead: what an engine takes for itself on each device, for example `400MiB`.
        objective: one, several in order, or a text as `stages,traffic`, or weighted as `0.7*throughput+0.3*traffic`,
            where each is divided by its own best value.
        cluster: devices and links, or the path of their TOML file; by default as many reference devices as needed.
        constraints: what runs where and what stays together, or the path of a TOML file of it (docs/planning.md).
        solver: `auto`, or a name of the table in docs/planning.md.
        effort: in steps of the solver's own.
        sizes: values for some of the graph's symbols; the others keep those of the capture.
        fuse: which nodes run as one kernel where they share a stage, see `estimate`; a cut inside costs what that
            saved.
        batch: `auto` for the batch with the highest throughput; else that of `sizes`.

    Raises:
        InfeasibleError: no plan keeps the limits; it names the smallest that works.
    """
    limits = Limits(
        memory_bytes=None if memory is None else parse_bytes(memory),
        stages=stages,
        max_parameters=max_parameters,
        max_layers=max_layers,
    )
    reserve = Reserve(cache=cache, sequences=sequences, overhead_bytes=_overhead(overhead))
    options: dict[str, Any] = {"solver": solver, "constraints": read_constraints(constraints), "reserve": reserve} | (
        {} if effort is None else {"effort": effort}
    )
    options |= {"fusion": _rules(fuse)}
    known = REFERENCE_CLUSTER if cluster is None else read_cluster(cluster)
    if batch is not None:
        return planning.plan_batch(graph, limits, _objectives(objective), cluster=known, sizes=sizes, **options)
    made = profiling.profile(graph, sizes)
    return planning.plan(graph, made, limits, _objectives(objective), cluster=known, **options)


def plan_phases(
    graph: Graph,
    *,
    prompt: int,
    generate: int,
    batch: int = 1,
    memory: str | int | None = None,
    stages: int | None = None,
    cache: int | None = None,
    sequences: int | None = None,
    overhead: str | int | None = None,
    cluster: Cluster | str | Path | None = None,
    constraints: Constraints | str | Path | None = None,
    solver: str = "auto",
    effort: int | None = None,
) -> PhasePlan:
    """How to serve a request of a language model the quickest: one division, or prompt here and answer there.

    Args:
        graph: captured with `cache`.
        prompt: tokens of each sequence that are read.
        generate: tokens of each sequence that are made.
        batch: sequences.
        memory: as for `plan`, as all that follow; K/V of prompt and answer are counted unless `cache` says otherwise.
        stages: of each phase.
        cache: see `plan`.
        sequences: see `plan`.
        overhead: see `plan`.
        cluster: see `plan`.
        constraints: see `plan`.
        solver: see `plan`.
        effort: see `plan`.

    Raises:
        InfeasibleError: no plan of some phase keeps the limits.
        InputError: a graph without K/V buffers, or whose sizes are fixed.
    """
    filled = {
        Phase.PREFILL: prompt,
        Phase.DECODE: prompt + max(1, generate // 2),
    }  # on the mean: its time is all but linear
    profiles = {
        phase: profiling.profile(graph, profiling.phase_sizes(graph, phase, tokens, batch, Logits.LAST))
        for phase, tokens in filled.items()
    }
    return planning.plan_phases(
        graph,
        profiles,
        Limits(memory_bytes=None if memory is None else parse_bytes(memory), stages=stages),
        prompt=prompt,
        generate=generate,
        cluster=REFERENCE_CLUSTER if cluster is None else read_cluster(cluster),
        constraints=read_constraints(constraints),
        reserve=Reserve(cache=cache, sequences=sequences, overhead_bytes=_overhead(overhead)),
        solver=solver,
        **({} if effort is None else {"effort": effort}),
    )


def pareto(
    graph: Graph,
    axes: Sequence[str],
    *,
    memory: str | int | None = None,
    stages: int | Sequence[int] | None = None,
    max_parameters: int | None = None,
    max_layers: int | None = None,
    cache: int | None = None,
    sequences: int | None = None,
    overhead: str | int | None = None,
    cluster: Cluster | str | Path | None = None,
    constraints: Constraints | str | Path | None = None,
    effort: int | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Front:
    """Plans of which none is better than another in everything.

    Args:
        graph: a captured graph.
        axes: `memory`, `time` or objectives, two or more.
        memory: what a stage may hold.
        stages: numbers of stages to try, for example `range(2, 13)`.
        max_parameters: of a stage.
        max_layers: of a stage.
        cache: as for `plan`.
        sequences: as for `plan`.
        overhead: as for `plan`.
        cluster: as for `plan`.
        constraints: as for `plan`.
        effort: of each question, in steps of the solver's own.
        sizes: values for some of the graph's symbols; the others keep those of the capture.

    Raises:
        InfeasibleError: no plan keeps the limits.
        InputError: fewer than two axes, or nothing says how many stages there may be.
    """
    limits = Limits(
        memory_bytes=None if memory is None else parse_bytes(memory),
        max_parameters=max_parameters,
        max_layers=max_layers,
    )
    counts = (stages,) if isinstance(stages, int) else tuple(stages or ())
    wanted = parse_objectives(",".join(AXES.get(axis, axis) for axis in axes))
    if isinstance(wanted, Blend):
        raise InputError("pareto", "its axes are weighed against each other, not summed", got=", ".join(axes))
    known = REFERENCE_CLUSTER if cluster is None else read_cluster(cluster)
    options: dict[str, Any] = {} if effort is None else {"effort": effort}
    options["reserve"] = Reserve(cache=cache, sequences=sequences, overhead_bytes=_overhead(overhead))
    made = profiling.profile(graph, sizes)
    return planning.pareto(
        graph, made, limits, wanted, stages=counts, cluster=known, constraints=read_constraints(constraints), **options
    )


def _overhead(amount: str | int | None) -> int:
    """Bytes; nothing said is none."""
    return parse_bytes(amount) if amount else 0


def explain(plan: Plan, *, effort: int | None = None) -> Explanation:
    """Why a plan is as it is: limits of its stages, what each cut would cost elsewhere, the worth of more hardware.

    Args:
        plan: of `plan`, or loaded.
        effort: of each question with more hardware, in steps of the solver's own.
    """
    options = {} if effort is None else {"effort": effort}
    return planning.explain_plan(plan, profiling.profile(plan.graph, plan.sizes), **options)


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
    options = as_captured(plan.graph, CaptureOptions(config=config, module=module))
    source = open_model(model, options)
    if isinstance(model, str | Path):
        refuse_other_graph(plan.graph, capture_again(source, plan.graph, str(model)), str(model))
    manifest, segments = cut_plan(plan)
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
        **options: keyword arguments of `partwise.runtime.run_package`: executor, threads, seed, sizes, run_dir, trace …

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
        return _beside(load_run(path)) or _refuse_alone(path)
    return open_package(path)


def verify(
    subject: Run | Package | str | Path,
    against: Any = None,
    inputs: object = None,
    *,
    package: Package | str | Path | None = None,
    threads: int | None = None,
    engine: str | None = None,
    max_difference: float = runtime.DIFFERENCE_LIMIT,
    config: str | None = None,
    module: str | None = None,
) -> Verdict:
    """Judge a run or a package: run → verdict.

    Args:
        subject: a run, a package, or the folder of one.
        against: the model that it was cut from; without it chain and whole are compared, and the verdict says so.
        inputs: as for `run`; by default those that the run recorded, or seeded random values.
        package: that a run is of, where it no longer lies where it was run.
        threads: of the engine, for a package; a run is judged at its own.
        engine: of the chain, for a package; a run is judged on its own.
        max_difference: how far an engine without an exact way may be, over an output's largest value.
        config: Hugging Face config for a file of weights.
        module: `package.module:function` that builds the module for a file of weights.

    Raises:
        VerifyError: the subject is neither a run nor a package.
        PartwiseError: a file that cannot be used at all; a value that is merely wrong is a verdict.
    """
    run, opened = _subject(subject, package)
    try:
        original = None if against is None else _original(against, opened, config, module)
    except StalePlanError as error:
        return Verdict(outcome=Outcome.INCONCLUSIVE, reason=str(error))
    if run is not None:
        return verification.verify_run(run, opened, original, inputs, max_difference=max_difference)
    return verification.verify_package(
        opened, original, inputs, threads=threads, engine=engine, max_difference=max_difference
    )


def sizes_for(graph: Graph, options: CaptureOptions) -> dict[str, int]:
    """The sizes that options ask for, of those that are symbols of the graph."""
    asked = {"batch": options.batch, "sequence": options.sequence}
    return {name: value for name, value in asked.items() if value is not None and name in graph.hints}


def _rules(fuse: str) -> Rules:
    try:
        return Rules(fuse)
    except ValueError:
        raise InputError("fuse", "is no set of rules", expected=" | ".join(Rules), got=fuse) from None


def _groups(graph: Graph, counted: Profile, fuse: str) -> Sequence[Unit] | None:
    rules = _rules(fuse)
    return None if rules is Rules.NONE else profiling.fuse(graph, counted, rules=rules).units


def place_workload(path: str | Path, *, non_contiguous: bool = False, effort: int | None = None) -> Placement:
    """The best placement of a workload in the public benchmark's format (docs/planning.md).

    Args:
        path: of the JSON file.
        non_contiguous: a device may hold any nodes; else each one's are closed under paths.
        effort: of the search for such placements, each step some seconds.

    Raises:
        InputError: the file cannot be read, or is no workload.
        InfeasibleError: no placement keeps the accelerators' memory.
    """
    options: dict[str, Any] = {"non_contiguous": non_contiguous} | ({} if effort is None else {"effort": effort})
    return place(read_workload(path), Path(path).name, **options)


def _objectives(given: str | Blend | Sequence[str] | None) -> tuple[Objective, ...] | Blend:
    if isinstance(given, Blend):
        return given
    text = given if isinstance(given, str) else ",".join(given or ())
    return parse_objectives(text) if text else ()


def _subject(subject: Run | Package | str | Path, package: Package | str | Path | None) -> tuple[Run | None, Package]:
    """The run, if it is one, and the package."""
    if isinstance(subject, Package):
        return None, subject
    if not isinstance(subject, Run):
        path = Path(subject)
        if is_package(path):
            return None, open_package(path)
        if not is_run(path):
            raise VerifyError(str(path), "is neither a package nor a saved run")
        subject = load_run(path)
    where = package or subject.package or _beside(subject)
    if where is None:
        raise VerifyError("run", "its package does not lie beside it", hint="name it with package= or --package.")
    return subject, where if isinstance(where, Package) else open_package(where)


def _recorded(run: Run) -> object:
    """The inputs of a run, as `run` takes them: one request, or a stream of them."""
    given = [request.inputs for request in run.requests]
    return given if run.record.stream else given[0]


def _refuse_alone(run: str | Path) -> NoReturn:
    raise InputError(str(run), "its package does not lie beside it", hint=f"run PACKAGE --input {run}/inputs.npz")


def _beside(run: Run) -> Package | None:
    """The package that a saved run names, if it lies beside the folder of runs."""
    folders = sorted(run.path.resolve().parents[1].iterdir()) if run.path is not None else []
    found = (open_package(folder) for folder in folders if is_package(folder))
    return next((package for package in found if package.digest == run.record.package), None)


def _original(model: Any, package: Package, config: str | None, module: str | None) -> Original:
    """The model, captured as the package says its graph was; a module in memory is believed to have that graph."""
    graph = package.graph()
    if graph is None:
        raise VerifyError(str(package.path), "came without its graph")
    source = open_model(model, as_captured(graph, CaptureOptions(config=config, module=module)))
    return Original(source, capture_again(source, graph, str(model)) if isinstance(model, str | Path) else graph)
