"""Price a division into stages: one evaluator for every solver's answer, with none of a solver's shortcuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Protocol

from partwise.errors import DeviceError
from partwise.hardware import Cluster, Member
from partwise.ir import Contraction, Graph, Part, divide
from partwise.planning.rates import Rates, RateTable
from partwise.planning.records import Cut, Objective, Stage
from partwise.profiling import Profile, node_proof_seconds, peak_bytes, proof_line

__all__ = ["Divided", "Priced", "measure", "price", "price_per_second", "transfers"]


class Divided(Protocol):
    """A graph in priced stages on the members of a cluster: a `Plan`, or what may become one."""

    @property
    def stages(self) -> Sequence[Stage]:
        """In their order."""
        ...

    @property
    def cuts(self) -> Sequence[Cut]:
        """What crosses between them."""
        ...

    @property
    def graph(self) -> Graph:
        """What is divided."""
        ...

    @property
    def sizes(self) -> Mapping[str, int]:
        """Values of the graph's symbols."""
        ...

    @property
    def cluster(self) -> Cluster:
        """Where the stages run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A division that no plan records yet."""

    stages: Sequence[Stage]
    cuts: Sequence[Cut]
    graph: Graph
    sizes: Mapping[str, int]
    cluster: Cluster


def price(
    contraction: Contraction, rates: RateTable, assignment: Sequence[Sequence[int]], devices: Sequence[str]
) -> tuple[tuple[Stage, ...], tuple[Cut, ...]]:
    """Stages and cuts of a division.

    Args:
        contraction: the graph seen through its placed nodes.
        rates: its costs at the sizes of interest, on the members of a cluster.
        assignment: for each stage the indices of its placed nodes, ascending; together all placed nodes.
        devices: for each stage the name of its member.
    """
    parts = divide(contraction, assignment)
    homes = zip(parts, devices, strict=True)
    stages = tuple(_stage(contraction, rates, index, home) for index, home in enumerate(homes))
    return stages, _cuts(contraction, rates.profile, parts)


def measure(objective: Objective, divided: Divided) -> float:
    """The value of an objective for priced stages and cuts.

    A value takes a link's latency and its bytes. A stage sends it once, however many stages receive it: as long as
    its slowest receiver takes.
    """
    stages, cuts = divided.stages, divided.cuts
    match objective:
        case Objective.STAGES | Objective.DEVICES:
            return float(len(stages))
        case Objective.TRAFFIC:
            return float(sum(cut.bytes for cut in cuts))
        case Objective.BALANCE:
            return max(stage.time_s for stage in stages)
        case Objective.BALANCE_MEMORY:
            return float(max(stage.peak_bytes for stage in stages))
        case Objective.THROUGHPUT:
            received, sent = transfers(divided)
            return max(fsum([s.time_s, *received[s.index], *sent[s.index]]) for s in stages)
        case Objective.LATENCY:
            received, _ = transfers(divided)
            return fsum([s.time_s for s in stages] + [seconds for each in received for seconds in each])
        case Objective.ENERGY:
            return fsum(_known_energy(stage) for stage in stages)
        case Objective.COST:
            received, _ = transfers(divided)
            rates = [price_per_second(divided.cluster.member(stage.device)) for stage in stages]
            return fsum(r * fsum([s.time_s, *received[s.index]]) for r, s in zip(rates, stages, strict=True))
        case Objective.PROOF:
            return max(_proof_seconds(divided))


def _proof_seconds(divided: Divided) -> list[float]:
    """For each stage: its circuit, its nodes, and the elements that it receives from others or gives to them."""
    graph, stages, bindings = divided.graph, divided.stages, dict(divided.sizes)
    seconds, line = node_proof_seconds(graph, divided.sizes), proof_line()
    given: list[dict[str, float]] = [{} for _ in stages]
    sent: list[dict[str, float]] = [{} for _ in stages]
    for cut in divided.cuts:
        for name in cut.tensors:
            elements = graph.spec[name].elements(bindings)
            given[cut.target][name] = line.given_s * elements
            sent[cut.source][name] = line.result_s * elements
    return [
        fsum([line.circuit_s, *(seconds[i] for i in s.nodes), *given[s.index].values(), *sent[s.index].values()])
        for s in stages
    ]


def _known_energy(stage: Stage) -> float:
    if stage.energy_j is None:
        raise DeviceError(f"device `{stage.device}`", "states no power, which the objective `energy` needs")
    return stage.energy_j


def price_per_second(member: Member) -> float:
    """What a device costs while it works [$/s].

    Raises:
        DeviceError: its price is not known.
    """
    return member.device.need("price_usd_per_hour", "the objective `cost`") / 3600


def transfers(divided: Divided) -> tuple[list[list[float]], list[list[float]]]:
    """For each stage the time of every value that it receives, and of every one that it sends [s]."""
    graph, stages, bindings = divided.graph, divided.stages, dict(divided.sizes)
    found: list[list[float]] = [[] for _ in stages]
    sent: list[dict[str, float]] = [{} for _ in stages]
    for cut in divided.cuts:
        link = divided.cluster.link(stages[cut.source].device, stages[cut.target].device)
        for name in cut.tensors:
            seconds = link.latency_s + graph.spec[name].bytes(bindings) / link.bytes_per_s
            found[cut.target].append(seconds)
            sent[cut.source][name] = max(seconds, sent[cut.source].get(name, 0.0))
    return found, [list(given.values()) for given in sent]


def _stage(contraction: Contraction, rates: RateTable, index: int, home: tuple[Part, str]) -> Stage:
    part, device = home
    graph, profile, cost = contraction.graph, rates.profile, rates.of(device)
    sizes = profile.sizes
    weights = [name for name in part.weights if name in graph.held]
    size = graph.sizes(sizes)
    weight_bytes = sum(size[name] for name in weights)
    kept = rates.kept(graph)
    activations = peak_bytes(graph, part.nodes, part.inputs, part.outputs, sizes, contraction.roots, kept.apart)
    kept_bytes = sum(kept.nodes.get(index, 0) for index in part.placed) + kept.overhead_bytes
    macs, cuts = sum(profile.nodes[i].macs for i in part.nodes), rates.cuts(part.placed)
    return Stage(
        index=index,
        device=device,
        nodes=part.placed,
        parameters=sum(graph.spec[n].elements(sizes) for n in weights if graph.held[n].trainable),
        weight_bytes=weight_bytes,
        kept_bytes=kept_bytes,
        peak_bytes=weight_bytes + kept_bytes + activations,
        macs=macs,
        flops=2 * macs,
        time_s=fsum([*(cost.seconds[i] for i in part.nodes), *(cost.cut_seconds[unit] for unit in cuts)]),
        energy_j=_energy(cost, part, cuts),
        inputs=part.inputs,
        outputs=part.outputs,
    )


def _energy(cost: Rates, part: Part, cuts: Sequence[int]) -> float | None:
    if cost.joules is None:
        return None
    return fsum([*(cost.joules[i] for i in part.nodes), *((cost.cut_joules or ())[unit] for unit in cuts)])


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
