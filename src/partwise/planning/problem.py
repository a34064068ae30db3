"""A graph to divide, as arrays: what every order, solver and bound works on.

Units are numbered by their first node, tensors by their place in `Graph.tensors`, nodes by their index.
What a stage pays once however many of its units need it (a received value, a tied weight, a repeated node)
is kept as (unit, item) pairs; what it pays for each unit is an array over units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

import numpy as np
from numpy.typing import NDArray

from partwise.hardware import Cluster, Link
from partwise.ir import Closure, Contraction
from partwise.planning.constraints import UNCONSTRAINED, Constraints
from partwise.planning.constraints_resolve import settle
from partwise.planning.rates import RateTable
from partwise.profiling import storage_roots

__all__ = ["End", "Floats", "Ints", "Pairs", "Problem", "Rows", "formulate"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which units need which items, each pair once."""

    unit: Ints
    item: Ints


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of tensors for each node: those of node i are `items[starts[i]:starts[i + 1]]`."""

    starts: Ints
    items: Ints

    def of(self, nodes: Ints) -> tuple[Ints, Ints]:
        """For some nodes: the places (0, 1, …) in `nodes` and the items there, flat and in their order."""
        counts = self.starts[nodes + 1] - self.starts[nodes]
        places = np.repeat(np.arange(len(nodes)), counts)
        shift = self.starts[nodes] - np.cumsum(counts) + counts
        return places, self.items[np.arange(len(places)) + np.repeat(shift, counts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A result or a state of the model: the stage of its last maker returns it."""

    makers: tuple[int, ...]
    """Units; none where it derives from the model's inputs alone, and the last stage returns it."""
    root: int
    """The tensor whose memory it keeps."""
    received: tuple[int, ...]
    weights: tuple[int, ...]
    repeated: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be divided, and what everything costs."""

    contraction: Contraction
    units: tuple[tuple[int, ...], ...]
    """Placed nodes that stay together; the unit is what a solver places."""
    rates: RateTable
    cluster: Cluster
    link: Link
    """Between any two of equal devices; the fastest of the first one otherwise."""
    seconds: Floats
    """Compute of each unit's placed nodes on the cluster's first device."""
    layers: Ints
    """Nodes with weights in each unit."""
    node_seconds: Floats
    """Compute of each node of the graph, for the repeated ones."""
    tensor_bytes: Ints
    weight_bytes: Ints
    """Bytes of a tensor if it is a weight, else 0."""
    parameters: Ints
    """Elements of a tensor if it is a trainable weight, else 0."""
    maker: Ints
    """Unit that makes a tensor; -1 for the model's inputs and whatever is not made by a placed node."""
    reads: Pairs
    """Values that come from a placed node or the caller."""
    holds: Pairs
    """Weights."""
    runs: Pairs
    """Nodes that a unit's stage executes, repeated ones included."""
    ends: tuple[End, ...]
    node_inputs: Rows
    """Memory that a node looks at, weights and constants left out."""
    node_outputs: Rows
    """Memory that a node makes."""
    homes: Mapping[int, str] = field(default_factory=dict[int, str])
    """Units that are pinned, and the member of the cluster that each runs on."""
    notes: tuple[str, ...] = ()
    """What the constraints take along."""

    @property
    def is_placed(self) -> NDArray[np.bool_]:
        """For each node of the graph whether it belongs to a unit."""
        found = np.zeros(len(self.node_seconds), bool)
        found[list(self.contraction.placed)] = True
        return found

    def unit_sums(self, amounts: Floats) -> Floats:
        """Amounts of nodes, added up over the placed nodes of each unit."""
        placed = amounts[list(self.contraction.placed)]
        return np.bincount(self._placed_units, placed, len(self.units)).astype(np.float64)

    @property
    def _placed_units(self) -> Ints:
        """The unit of each placed node."""
        found = np.zeros(len(self.node_seconds), np.int64)
        for unit, nodes in enumerate(self.units):
            found[list(nodes)] = unit
        return found[list(self.contraction.placed)]

    @property
    def transfer_seconds(self) -> Floats:
        """Time of each tensor over the link [s]: a value is a message."""
        return self.link.latency_s + self.tensor_bytes / self.link.bytes_per_s


def formulate(contraction: Contraction, rates: RateTable, constraints: Constraints = UNCONSTRAINED) -> Problem:
    """A graph's costs as arrays.

    Args:
        contraction: the graph seen through its placed nodes; it has at least one.
        rates: its costs at the sizes of interest, on a cluster.
        constraints: on single nodes.

    Raises:
        InputError: constraints that cannot be kept.
    """
    profile, cluster = rates.profile, rates.cluster
    graph, first = contraction.graph, cluster.members[0]
    closures = {index: contraction.reads(index) for index in contraction.placed}
    settled = settle(contraction, closures, constraints, cluster)
    grouped = settled.units
    unit_of = {index: unit for unit, nodes in enumerate(grouped) for index in nodes}
    ids = {spec.name: number for number, spec in enumerate(graph.tensors)}
    maker = np.full(len(ids), -1, np.int64)
    for index, unit in unit_of.items():
        maker[[ids[name] for name in graph.nodes[index].outputs]] = unit
    seconds = np.array(rates.of(first.name).seconds)
    joined = [contraction.join(closures[index] for index in nodes) for nodes in grouped]
    sizes = {spec.name: spec.bytes(profile.sizes) for spec in graph.tensors}
    trainable = {weight.tensor for weight in graph.weights if weight.trainable}
    return Problem(
        contraction=contraction,
        units=grouped,
        rates=rates,
        cluster=cluster,
        link=cluster.fastest(first.name),
        seconds=np.array([fsum(seconds[index] for index in nodes) for nodes in grouped]),
        layers=np.array([sum(not trainable.isdisjoint(closures[i].weights) for i in nodes) for nodes in grouped]),
        node_seconds=seconds,
        tensor_bytes=np.array(list(sizes.values()), np.int64),
        weight_bytes=np.array([sizes[s.name] if s.name in graph.held else 0 for s in graph.tensors], np.int64),
        parameters=np.array([s.elements(profile.sizes) if s.name in trainable else 0 for s in graph.tensors], np.int64),
        maker=maker,
        reads=_pairs([_numbers(ids, closure.received) for closure in joined]),
        holds=_pairs([_numbers(ids, closure.weights) for closure in joined]),
        runs=_pairs([sorted({*nodes, *c.repeated}) for nodes, c in zip(grouped, joined, strict=True)]),
        ends=tuple(_ends(contraction, ids, maker)),
        homes=settled.homes,
        notes=settled.notes,
        **_memory(contraction, ids),
    )


def _numbers(ids: Mapping[str, int], names: Iterable[str]) -> list[int]:
    return sorted(ids[name] for name in names)


def _pairs(rows: Sequence[Sequence[int]]) -> Pairs:
    table = _rows(rows)
    return Pairs(np.repeat(np.arange(len(rows)), np.diff(table.starts)), table.items)


def _rows(rows: Sequence[Sequence[int]]) -> Rows:
    starts = np.concatenate(([0], np.cumsum([len(row) for row in rows], dtype=np.int64)))
    return Rows(starts, np.array([item for row in rows for item in row], np.int64))


def _ends(contraction: Contraction, ids: Mapping[str, int], maker: Ints) -> Iterable[End]:
    graph, roots = contraction.graph, storage_roots(contraction.graph)
    tensors = [output.tensor for output in graph.outputs] + [mutation.tensor for mutation in graph.mutations]
    for tensor in dict.fromkeys(tensors):
        closure: Closure = contraction.of(tensor)
        received = _numbers(ids, closure.received)
        yield End(
            makers=tuple(sorted({int(maker[number]) for number in received if maker[number] >= 0})),
            root=ids[roots[tensor]],
            received=tuple(received),
            weights=tuple(_numbers(ids, closure.weights)),
            repeated=tuple(sorted(closure.repeated)),
        )


def _memory(contraction: Contraction, ids: Mapping[str, int]) -> dict[str, Rows]:
    """Memory that each node looks at and makes, by the rules of `profiling.timeline`."""
    graph, roots = contraction.graph, storage_roots(contraction.graph)
    resting = {*graph.held, *(constant.tensor for constant in graph.constants)}
    seen = [dict.fromkeys(roots[name] for name in node.inputs) for node in graph.nodes]
    made = [[name for name in node.outputs if roots[name] == name] for node in graph.nodes]
    return {
        "node_inputs": _rows([[ids[name] for name in names if name not in resting] for names in seen]),
        "node_outputs": _rows([[ids[name] for name in names] for names in made]),
    }
