"""Placement workloads in the public benchmark's format: costs of nodes and edges, and no model behind them.

Format and cost convention: msr-fiddle/dnn-partitioning (its README), the data of Tarnawski et al., "Efficient
Algorithms for Device Placement of DNN Graph Operators", NeurIPS 2020. A device's load is the compute of its nodes and,
on an accelerator, the transfer of every value that crosses into or out of it, each once; the value of a placement is
the largest load. Nodes of one colour share a device. A backward node runs after all forward nodes and mirrors their
order: its edges count backwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

import msgspec
import numpy as np

from partwise.errors import InfeasibleError, InputError
from partwise.planning.arrays import Bits, Floats, Ints, Pairs
from partwise.planning.check import gap_of
from partwise.planning.colocation import components
from partwise.planning.cpsat import Arrangement, solve_cpsat
from partwise.planning.ideals import Cap, Channel, Instance, Placed, solve_ideals

__all__ = ["Placement", "PlacementStage", "Workload", "parse_workload", "place"]

_IDEALS = 60_000
_EFFORT = 10  # of the search for placements that are not contiguous; some seconds each


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    id: int
    cpuLatency: float
    fpgaLatency: float
    size: float = 0.0
    supportedOnFpga: bool | int = True
    isBackwardNode: bool | int = False
    colorClass: int | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edge:
    sourceId: int
    destId: int
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A file's content; the names are the format's."""

    maxFPGAs: int
    nodes: tuple[_Node, ...] = field(repr=False)
    edges: tuple[_Edge, ...] = field(repr=False)
    maxCPUs: int = 0
    maxSizePerFPGA: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementStage:
    """What one device does."""

    index: int
    device: str
    nodes: tuple[int, ...]
    """Ids of the file, ascending."""
    load: float
    size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Which device does what, and how good that can be at most."""

    workload: str
    value: float
    """The largest load, in the file's unit of time."""
    bound: float
    bound_plans: str
    gap: float | None
    solver: str
    stages: tuple[PlacementStage, ...]


def parse_workload(data: object, subject: str) -> Workload:
    """The workload in plain JSON data from anywhere.

    Raises:
        InputError: another format, an edge without its node, two nodes of one id, a cost that is none.
    """
    try:
        found = msgspec.convert(data, Workload, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(
            subject, f"is no workload ({error})", expected="the format of msr-fiddle/dnn-partitioning"
        ) from None
    _check(found, subject)
    return found


def place(workload: Workload, subject: str, *, non_contiguous: bool = False, effort: int = _EFFORT) -> Placement:
    """The best contiguous placement: every device's forward nodes, and its backward nodes, are closed under paths.

    Args:
        workload: what is placed.
        subject: its name.
        non_contiguous: a device may hold any nodes instead.
        effort: of the search for such placements (`solve_cpsat`).

    Raises:
        InfeasibleError: no placement keeps the accelerators' memory, or some node can run nowhere.
        InputError: the edges form a cycle.
        MissingExtraError: `non_contiguous` without OR-Tools.
    """
    graph = _Graph(workload)
    if graph.is_cyclic:
        raise InputError(subject, "its edges form a cycle", expected="an acyclic graph")
    if (homeless := graph.homeless()) is not None:
        raise InfeasibleError(f"{subject}, node {homeless}", "is not supported on accelerators, and there is no CPU")
    instance = graph.instance()
    answer = solve_ideals(instance, most=_IDEALS)
    if non_contiguous:
        found = solve_cpsat(instance, contiguous=False, hint=answer, effort=effort)
        if found.stages:
            return _anywhere(graph, subject, found)
        answer = None
    if answer is None:
        need, room = sum(node.size for node in workload.nodes), workload.maxSizePerFPGA * workload.maxFPGAs
        raise InfeasibleError(
            subject,
            "no placement keeps the memory of its accelerators",
            expected=f"size ≤ {room:g} in all",
            got=f"{need:g}",
        )
    stages = graph.stages(answer.stages)
    value = max(stage.load for stage in stages)
    bound = value if answer.proved else graph.average()
    return Placement(
        workload=subject,
        value=value,
        bound=bound,
        bound_plans="acyclic placements" if answer.proved else "all placements",
        gap=gap_of(value, bound),
        solver="ideals" if answer.proved else "prefixes",
        stages=stages,
    )


def _anywhere(graph: _Graph, subject: str, found: Arrangement) -> Placement:
    """A placement in which a device may hold any nodes."""
    stages = graph.stages(found.stages)
    value = max(stage.load for stage in stages)
    bound = value if found.proved else min(value, max(found.bound, graph.average()))
    return Placement(
        workload=subject,
        value=value,
        bound=bound,
        bound_plans="all placements",
        gap=gap_of(value, bound),
        solver="cpsat",
        stages=stages,
    )


def _check(workload: Workload, subject: str) -> None:
    ids = {node.id for node in workload.nodes}
    if not ids:
        raise InputError(subject, "has no node")
    if len(ids) < len(workload.nodes):
        raise InputError(subject, "two nodes have one id")
    for edge in workload.edges:
        for end in (edge.sourceId, edge.destId):
            if end not in ids:
                raise InputError(subject, f"edge {edge.sourceId} → {edge.destId} has no node {end}")
    amounts = [(f"node {n.id}", value) for n in workload.nodes for value in (n.cpuLatency, n.fpgaLatency, n.size)]
    amounts += [(f"edge {edge.sourceId} → {edge.destId}", edge.cost) for edge in workload.edges]
    for name, value in amounts:
        if not isfinite(value) or value < 0:
            raise InputError(subject, f"{name} has a cost that is none", expected="at least 0", got=value)
    if workload.maxFPGAs < 0 or workload.maxCPUs < 0 or workload.maxFPGAs + workload.maxCPUs < 1:
        raise InputError(subject, "has no device", expected="maxFPGAs + maxCPUs of at least 1")


class _Graph:
    """A workload as arrays.

    Attributes:
        unit: [nodes] which nodes share a device: of one colour, or on a cycle through it.
        is_cyclic: whether the edges form a cycle, those of the backward nodes turned round.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        place = {node.id: index for index, node in enumerate(workload.nodes)}
        self.edges: Ints = np.array([(place[e.sourceId], place[e.destId]) for e in workload.edges], np.int64).reshape(
            -1, 2
        )
        backward = np.array([bool(node.isBackwardNode) for node in workload.nodes])
        ends = backward[self.edges]
        self._order = np.concatenate((self.edges[~ends.any(axis=1)], self.edges[ends.all(axis=1)][:, ::-1]))
        count = len(workload.nodes)
        self.is_cyclic = len(np.unique(_components(self._order, count))) < count
        self.unit = _components(np.concatenate((self._order, _rings(workload))), count)

    def instance(self) -> Instance:
        """The placement problem: accelerators are one type of device, processors another."""
        workload, count = self.workload, int(self.unit.max()) + 1
        cost: dict[int, float] = {}
        for (source, _), edge in zip(self.edges.tolist(), workload.edges, strict=True):
            cost[source] = max(edge.cost, cost.get(source, 0.0))
        sources = sorted(cost)
        value = {source: number for number, source in enumerate(sources)}
        readers = sorted({(int(self.unit[target]), value[source]) for source, target in self.edges.tolist()})
        moved = np.array([cost[source] for source in sources])
        order = np.unique(self.unit[self._order].reshape(-1, 2), axis=0)
        kinds = [
            (workload.maxFPGAs, self._times("fpgaLatency"), moved, workload.maxSizePerFPGA),
            (workload.maxCPUs, self._times("cpuLatency"), moved * 0, np.inf),
        ]
        kinds = [kind for kind in kinds if kind[0]]
        load = tuple(_channel(self._sum(times, count), crossing) for _, times, crossing, _ in kinds)
        load, strangers = self._supported(load, count)
        return Instance(
            edges=order[order[:, 0] != order[:, 1]],
            maker=self.unit[sources].astype(np.int64),
            readers=Pairs(*np.array(readers, np.int64).reshape(-1, 2).T),
            needs=Pairs(*np.zeros((2, 0), np.int64)),
            counts=tuple(kind[0] for kind in kinds),
            load=load,
            caps=strangers,
            room=tuple(float(kind[3]) for kind in kinds),
            held=_channel(self._sum(np.array([node.size for node in workload.nodes]), count), moved * 0),
            value_bytes=moved * 0,
            working=np.zeros(count),
            is_simple=np.zeros(count, bool),
        )

    def average(self) -> float:
        """A bound for every placement: all work on all devices at their best speed, shared evenly."""
        fast = np.where(self._unsupported(), np.inf, self._times("fpgaLatency"))
        best = np.minimum(fast if self.workload.maxFPGAs else np.inf,
                          self._times("cpuLatency") if self.workload.maxCPUs else np.inf)  # fmt: skip
        return float(best.sum()) / (self.workload.maxFPGAs + self.workload.maxCPUs)

    def homeless(self) -> int | None:
        """The id of a node that no device runs; None where there is none."""
        alone = self._unsupported() if not self.workload.maxCPUs else np.zeros(len(self.unit), bool)
        return next((node.id for node, is_alone in zip(self.workload.nodes, alone, strict=True) if is_alone), None)

    def stages(self, placed: Sequence[Placed]) -> tuple[PlacementStage, ...]:
        """What each device does, priced anew."""
        sets = [(stage.kind, np.flatnonzero(np.isin(self.unit, stage.units))) for stage in placed]
        return tuple(_stages(self.workload, sets))

    def _supported(self, load: tuple[Channel, ...], count: int) -> tuple[tuple[Channel, ...], tuple[Cap, ...]]:
        """Loads under which a node costs more than any placement where it cannot run, and the cap that forbids it.

        The cap is the rule; the cost lets the quick test see it. A cost far above all others would drown their digits.
        """
        away = self._sum(self._unsupported().astype(np.float64), count)
        if not (self.workload.maxFPGAs and away.any()):
            return load, ()
        far = 2 * max(float(channel.work.sum() + channel.receive.sum() + channel.send.sum()) for channel in load)
        nothing = _channel(away * 0, load[0].receive * 0)
        strangers = (replace(nothing, work=away), *(nothing for _ in load[1:]))
        return (replace(load[0], work=load[0].work + far * away), *load[1:]), (Cap(load=strangers, limit=0.5),)

    def _unsupported(self) -> Bits:
        """[nodes] What no accelerator runs."""
        return np.array([not node.supportedOnFpga for node in self.workload.nodes], bool)

    def _times(self, kind: str) -> Floats:
        return np.array([getattr(node, kind) for node in self.workload.nodes], np.float64)

    def _sum(self, amounts: Floats, count: int) -> Floats:
        return np.bincount(self.unit, amounts, count).astype(np.float64)


def _rings(workload: Workload) -> Ints:
    """Edges that join the nodes of each colour in a ring."""
    found: dict[int, list[int]] = {}
    for index, node in enumerate(workload.nodes):
        if node.colorClass is not None:
            found.setdefault(node.colorClass, []).append(index)
    rings = [pair for group in found.values() for pair in zip(group, [*group[1:], group[0]], strict=True)]
    return np.array(rings, np.int64).reshape(-1, 2)


def _components(edges: Ints, count: int) -> Ints:
    """[nodes] The strongly connected component of each node."""
    after: dict[int, list[int]] = {node: [] for node in range(count)}
    for source, target in edges.tolist():
        after[source].append(target)
    found = np.zeros(count, np.int64)
    for number, nodes in enumerate(sorted(sorted(group) for group in components(range(count), after))):
        found[nodes] = number
    return found


def _channel(work: Floats, crossing: Floats) -> Channel:
    return Channel(work=work, receive=crossing, send=crossing, again=np.zeros(0))


def _stages(workload: Workload, sets: Sequence[tuple[int, Ints]]) -> Iterator[PlacementStage]:
    """The stages priced anew from the file's own rows, with none of the solver's arrays."""
    has_accelerators = workload.maxFPGAs > 0
    chosen: list[list[int]] = [nodes.tolist() for _, nodes in sets]
    home = {workload.nodes[index].id: number for number, nodes in enumerate(chosen) for index in nodes}
    used: dict[str, int] = {}
    for number, (kind, _) in enumerate(sets):
        is_accelerator = has_accelerators and kind == 0
        rows = [workload.nodes[index] for index in chosen[number]]
        name = "accelerator" if is_accelerator else "cpu"
        used[name] = used.get(name, -1) + 1
        load = sum(row.fpgaLatency if is_accelerator else row.cpuLatency for row in rows)
        if is_accelerator:
            load += sum(_crossing(workload, home, number).values())
        yield PlacementStage(
            index=number,
            device=f"{name}-{used[name]}",
            nodes=tuple(sorted(row.id for row in rows)),
            load=load,
            size=sum(row.size for row in rows),
        )


def _crossing(workload: Workload, home: Mapping[int, int], stage: int) -> dict[int, float]:
    """The cost of each node's value that crosses into or out of a stage."""
    found: dict[int, float] = {}
    for edge in workload.edges:
        if (home[edge.sourceId] == stage) != (home[edge.destId] == stage):
            found[edge.sourceId] = max(edge.cost, found.get(edge.sourceId, 0.0))
    return found
