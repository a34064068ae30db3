"""Price a division into stages: one evaluator for every solver's answer, with none of a solver's shortcuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum

from partwise.hardware import Device, Link
from partwise.ir import Contraction, Graph, Part, divide
from partwise.planning.records import Cut, Objective, Stage
from partwise.profiling import Profile, storage_roots, timeline

__all__ = ["measure", "price"]


def price(
    contraction: Contraction, profile: Profile, assignment: Sequence[Sequence[int]], device: Device
) -> tuple[tuple[Stage, ...], tuple[Cut, ...]]:
    """Stages and cuts of a division.

    Args:
        contraction: the graph seen through its placed nodes.
        profile: its costs at the sizes of interest.
        assignment: for each stage the indices of its placed nodes, ascending; together all placed nodes.
        device: what compute times are stated on.
    """
    parts = divide(contraction, assignment)
    roots = storage_roots(contraction.graph)
    stages = tuple(_stage(contraction, profile, index, part, device, roots) for index, part in enumerate(parts))
    return stages, _cuts(contraction, profile, parts)


def measure(
    objective: Objective,
    stages: Sequence[Stage],
    cuts: Sequence[Cut],
    graph: Graph,
    sizes: Mapping[str, int],
    link: Link,
) -> float:
    """The value of an objective for priced stages and cuts.

    A value takes the link's latency and its bytes; a stage sends it once, however many stages receive it.
    """
    match objective:
        case Objective.STAGES:
            return float(len(stages))
        case Objective.TRAFFIC:
            return float(sum(cut.bytes for cut in cuts))
        case Objective.BALANCE:
            return max(stage.time_s for stage in stages)
        case Objective.THROUGHPUT:
            bindings = dict(sizes)
            seconds = {
                name: link.latency_s + graph.spec[name].bytes(bindings) / link.bytes_per_s
                for cut in cuts
                for name in cut.tensors
            }
            return max(fsum([stage.time_s, *_transfers(stage.index, cuts, seconds)]) for stage in stages)


def _transfers(stage: int, cuts: Sequence[Cut], seconds: Mapping[str, float]) -> list[float]:
    received = [seconds[name] for cut in cuts if cut.target == stage for name in cut.tensors]
    sent = {name for cut in cuts if cut.source == stage for name in cut.tensors}
    return received + [seconds[name] for name in sorted(sent)]


def _stage(
    contraction: Contraction, profile: Profile, index: int, part: Part, device: Device, roots: dict[str, str]
) -> Stage:
    graph, sizes = contraction.graph, profile.sizes
    weights = [name for name in part.weights if name in graph.held]
    weight_bytes = sum(graph.spec[name].bytes(sizes) for name in weights)
    activations = timeline(graph, part.nodes, part.inputs, part.outputs, sizes, roots).peak_bytes
    macs = sum(profile.nodes[i].macs for i in part.nodes)
    return Stage(
        index=index,
        nodes=part.placed,
        parameters=sum(graph.spec[n].elements(sizes) for n in weights if graph.held[n].trainable),
        weight_bytes=weight_bytes,
        peak_bytes=weight_bytes + activations,
        macs=macs,
        flops=2 * macs,
        time_s=fsum(profile.nodes[i].seconds(device) for i in part.nodes),
        inputs=part.inputs,
        outputs=part.outputs,
    )


def _cuts(contraction: Contraction, profile: Profile, parts: Sequence[Part]) -> tuple[Cut, ...]:
    home = {name: index for index, part in enumerate(parts) for name in part.sent}
    spec, found = contraction.graph.spec, list[Cut]()
    for target, part in enumerate(parts):
        by_source: dict[int, list[str]] = {}
        for name in part.inputs:
            if name in home:
                by_source.setdefault(home[name], []).append(name)
        for source, names in sorted(by_source.items()):
            size = sum(spec[name].bytes(profile.sizes) for name in names)
            found.append(Cut(source=source, target=target, tensors=tuple(names), bytes=size))
    return tuple(found)
