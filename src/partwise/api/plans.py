"""profile → plan: divisions of a graph, of a request by phase, of a published workload; fronts and reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from partwise import planning, profiling
from partwise.api.profiles import fusion_rules
from partwise.errors import InputError
from partwise.hardware import REFERENCE_CLUSTER, Cluster
from partwise.ir import Graph
from partwise.plan_files import read_cluster, read_constraints, read_workload
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
    Terms,
    parse_objectives,
    place,
)
from partwise.profiling import Logits, Phase
from partwise.units import parse_bytes

__all__ = ["explain", "pareto", "place_workload", "plan", "plan_phases"]


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
    limits = _limits(memory, stages=stages, max_parameters=max_parameters, max_layers=max_layers)
    terms = _terms(cluster, constraints, _reserve(cache, sequences, overhead), effort)
    terms = replace(terms, solver=solver, fusion=fusion_rules(fuse))
    if batch is not None:
        return planning.plan_batch(graph, limits, _objectives(objective), terms, sizes=sizes)
    return planning.plan(graph, profiling.profile(graph, sizes), limits, _objectives(objective), terms)


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
    mean = prompt + max(1, generate // 2)  # decode's time is all but linear in the tokens that are there
    filled = {Phase.PREFILL: prompt, Phase.DECODE: mean}
    profiles = {
        phase: profiling.profile(graph, profiling.phase_sizes(graph, phase, tokens, batch, Logits.LAST))
        for phase, tokens in filled.items()
    }
    terms = replace(_terms(cluster, constraints, _reserve(cache, sequences, overhead), effort), solver=solver)
    limits = _limits(memory, stages=stages)
    return planning.plan_phases(graph, profiles, limits, terms, prompt=prompt, generate=generate)


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
    fuse: str = "none",
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
        fuse: as for `plan`.

    Raises:
        InfeasibleError: no plan keeps the limits.
        InputError: fewer than two axes, or nothing says how many stages there may be.
    """
    limits = _limits(memory, max_parameters=max_parameters, max_layers=max_layers)
    counts = (stages,) if isinstance(stages, int) else tuple(stages or ())
    wanted = parse_objectives(",".join(AXES.get(axis, axis) for axis in axes))
    if isinstance(wanted, Blend):
        raise InputError("pareto", "its axes are weighed against each other, not summed", got=", ".join(axes))
    terms = _terms(cluster, constraints, _reserve(cache, sequences, overhead), effort)
    terms = replace(terms, fusion=fusion_rules(fuse))
    return planning.pareto(graph, profiling.profile(graph, sizes), limits, wanted, terms, stages=counts)


def explain(plan: Plan, *, effort: int | None = None) -> Explanation:
    """Why a plan is as it is: limits of its stages, what each cut would cost elsewhere, the worth of more hardware.

    Args:
        plan: of `plan`, or loaded.
        effort: of each question with more hardware, in steps of the solver's own.
    """
    return planning.explain_plan(plan, profiling.profile(plan.graph, plan.sizes), **_effort(effort))


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
    return place(read_workload(path), Path(path).name, non_contiguous=non_contiguous, **_effort(effort))


def _terms(
    cluster: Cluster | str | Path | None, constraints: Constraints | str | Path | None, reserve: Reserve,
    effort: int | None,
) -> Terms:  # fmt: skip
    """What every question to the planner may say beside its limits; files are read here."""
    known = REFERENCE_CLUSTER if cluster is None else read_cluster(cluster)
    terms = Terms(cluster=known, constraints=read_constraints(constraints), reserve=reserve)
    return terms if effort is None else replace(terms, effort=effort)


def _limits(memory: str | int | None, **counts: int | None) -> Limits:
    return Limits(memory_bytes=None if memory is None else parse_bytes(memory), **counts)


def _reserve(cache: int | None, sequences: int | None, overhead: str | int | None) -> Reserve:
    """What stages keep beside weights and activations; no overhead said is none."""
    return Reserve(cache=cache, sequences=sequences, overhead_bytes=parse_bytes(overhead) if overhead else 0)


def _effort(effort: int | None) -> dict[str, int]:
    """None leaves it to the planner."""
    return {} if effort is None else {"effort": effort}


def _objectives(given: str | Blend | Sequence[str] | None) -> tuple[Objective, ...] | Blend:
    if isinstance(given, Blend):
        return given
    text = given if isinstance(given, str) else ",".join(given or ())
    return parse_objectives(text) if text else ()
