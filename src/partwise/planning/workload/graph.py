"""A workload as arrays, and as the placement problem that solvers take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints, Pairs
from partwise.planning.colocation import components
from partwise.planning.ideals import Cap, Channel, Instance, Placed
from partwise.planning.workload.price import priced_stages
from partwise.planning.workload.records import PlacementStage, Workload

__all__ = ["WorkloadGraph"]


class WorkloadGraph:
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
            (min(workload.maxFPGAs, count), self._times("fpgaLatency"), moved, workload.maxSizePerFPGA),
            (min(workload.maxCPUs, count), self._times("cpuLatency"), moved * 0, np.inf),  # more would stay empty
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
            nodes=np.arange(count).repeat(2).reshape(-1, 2),
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
        return tuple(priced_stages(self.workload, sets))

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
