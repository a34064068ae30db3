"""A graph to divide, as arrays: what every order, solver and bound works on.

Units are numbered by their first node, tensors by their place in `Graph.tensors`, nodes by their index.
What a stage pays once however many of its units need it (a received value, a tied weight, a repeated node)
is kept as (unit, item) pairs; what it pays for each unit is an array over units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import fsum

import numpy as np

from partwise.hardware import Cluster, Link
from partwise.ir import Closure, Contraction, Graph
from partwise.planning.arrays import Bits, Floats, Ints, Pairs, Rows
from partwise.planning.constraints import UNCONSTRAINED, Constraints, settle
from partwise.planning.needs import flat, flow_rows, node_needs
from partwise.planning.rates import RateTable

__all__ = ["End", "Problem", "formulate"]


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
    """Bytes of a tensor if it is a weight, else 0; and of what is kept for the node that makes it (`kept_bytes`)."""
    kept_bytes: Ints
    """K/V kept by the stage of a node, at its first output; such an output is held as weights are."""
    overhead_bytes: int = 0
    """What the engine takes for itself in every stage."""
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
    def is_placed(self) -> Bits:
        """For each node of the graph whether it belongs to a unit."""
        found = np.zeros(len(self.node_seconds), bool)
        found[list(self.contraction.placed)] = True
        return found

    def unit_sums(self, amounts: Floats) -> Floats:
        """Amounts of nodes, added up over the placed nodes of each unit."""
        placed = amounts[list(self.contraction.placed)]
        return np.bincount(self.home[list(self.contraction.placed)], placed, len(self.units)).astype(np.float64)

    @property
    def home(self) -> Ints:
        """[nodes] The unit of each placed node; -1 of a repeated one."""
        return _unit_of(self.units, len(self.node_seconds))

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
    ids = {spec.name: number for number, spec in enumerate(graph.tensors)}
    settled = settle(contraction, constraints, cluster)
    seen, made = flow_rows(graph.reads, ids), flow_rows((node.outputs for node in graph.nodes), ids)
    needs, unit_of = node_needs(contraction, ids, seen), _unit_of(settled.units, len(graph.nodes))
    placed, maker = np.array(contraction.placed, np.int64), _makers(made, len(ids), unit_of)
    kept = rates.kept(graph)
    kept_bytes, keeps = _kept_values(graph, kept.nodes, ids)
    seconds = np.array(rates.of(first.name).seconds)
    sizes = graph.sizes(profile.sizes)
    weights = {weight.tensor: graph.spec[weight.tensor].elements(profile.sizes) for weight in graph.weights}
    apart = _amounts(ids, dict.fromkeys(kept.apart, 1)) > 0
    trainable = _amounts(ids, {weight.tensor: 1 for weight in graph.weights if weight.trainable})
    layered = np.unique(needs.holds.unit[trainable[needs.holds.item] > 0])
    runs = _both(Pairs(placed, placed), needs.repeats)
    return Problem(
        contraction=contraction,
        units=settled.units,
        rates=rates,
        cluster=cluster,
        link=cluster.fastest(first.name),
        seconds=_unit_seconds(settled.units, seconds),
        layers=np.bincount(unit_of[layered], minlength=len(settled.units)).astype(np.int64),
        node_seconds=seconds,
        tensor_bytes=np.fromiter(sizes.values(), np.int64, len(sizes)) * ~apart,
        weight_bytes=_amounts(ids, {name: sizes[name] for name in weights}) + kept_bytes,
        kept_bytes=kept_bytes,
        overhead_bytes=kept.overhead_bytes,
        parameters=_amounts(ids, weights) * trainable,
        maker=maker,
        reads=_of_units(needs.reads, unit_of, len(ids)),
        holds=_of_units(_both(needs.holds, keeps), unit_of, len(ids)),
        runs=_of_units(runs, unit_of, len(graph.nodes)),
        ends=tuple(_ends(contraction, ids, maker)),
        homes=settled.homes,
        notes=settled.notes,
        **_memory(contraction, ids, seen, made),
    )


def _makers(made: Rows, tensors: int, unit_of: Ints) -> Ints:
    """[tensors] The unit that makes each; -1 of whatever no placed node makes."""
    found = np.full(tensors, -1, np.int64)
    found[made.items] = unit_of[_nodes_of(made)]
    return found


def _kept_values(graph: Graph, kept: Mapping[int, int], ids: Mapping[str, int]) -> tuple[Ints, Pairs]:
    """[tensors] The bytes that are kept for nodes, at the first output of each; and which node has which."""
    first = {index: graph.nodes[index].name for index in kept}
    nodes, tensors = list(first), [ids[name] for name in first.values()]
    amounts = _amounts(ids, {first[index]: amount for index, amount in kept.items()})
    return amounts, Pairs(np.array(nodes, np.int64), np.array(tensors, np.int64))


def _unit_of(units: Sequence[Sequence[int]], nodes: int) -> Ints:
    """[nodes] The unit of each node; -1 of a repeated one."""
    found = np.full(nodes, -1, np.int64)
    members = np.fromiter(chain.from_iterable(units), np.int64)
    found[members] = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
    return found


def _unit_seconds(units: Sequence[Sequence[int]], seconds: Floats) -> Floats:
    """[units] Compute of each unit's nodes."""
    first = seconds[[unit[0] for unit in units]]
    for number, unit in enumerate(units):
        if len(unit) > 1:
            first[number] = fsum(seconds[list(unit)])
    return first


def _amounts(ids: Mapping[str, int], amounts: Mapping[str, int]) -> Ints:
    """[tensors] The amounts of some tensors; 0 of the others."""
    found = np.zeros(len(ids), np.int64)
    found[[ids[name] for name in amounts]] = list(amounts.values())
    return found


def _both(one: Pairs, other: Pairs) -> Pairs:
    return Pairs(np.concatenate((one.unit, other.unit)), np.concatenate((one.item, other.item)))


def _of_units(pairs: Pairs, unit_of: Ints, count: int) -> Pairs:
    return flat(Pairs(unit_of[pairs.unit], pairs.item), count)


def _numbers(ids: Mapping[str, int], names: Iterable[str]) -> list[int]:
    return sorted(ids[name] for name in names)


def _ends(contraction: Contraction, ids: Mapping[str, int], maker: Ints) -> Iterable[End]:
    graph, roots = contraction.graph, contraction.roots
    for tensor in dict.fromkeys(graph.ends):
        closure: Closure = contraction.of(tensor)
        received = _numbers(ids, closure.received)
        yield End(
            makers=tuple(sorted({int(maker[number]) for number in received if maker[number] >= 0})),
            root=ids[roots[tensor]],
            received=tuple(received),
            weights=tuple(_numbers(ids, closure.weights)),
            repeated=tuple(sorted(closure.repeated)),
        )


def _memory(contraction: Contraction, ids: Mapping[str, int], seen: Rows, made: Rows) -> dict[str, Rows]:
    """Memory that each node looks at and makes, by the rules of `profiling.timeline`."""
    graph = contraction.graph
    root = flow_rows([tuple(map(contraction.roots.__getitem__, ids))], ids).items
    resting = np.zeros(len(ids), bool)
    resting[[ids[name] for name in graph.held]] = True
    resting[[ids[constant.tensor] for constant in graph.constants]] = True
    looked = Pairs(_nodes_of(seen), root[seen.items])
    kept = ~resting[looked.item]
    own = root[made.items] == made.items
    return {
        "node_inputs": _rows(flat(Pairs(looked.unit[kept], looked.item[kept]), len(ids)), len(graph.nodes)),
        "node_outputs": _rows(Pairs(_nodes_of(made)[own], made.items[own]), len(graph.nodes)),
    }


def _nodes_of(rows: Rows) -> Ints:
    return np.repeat(np.arange(len(rows.starts) - 1), np.diff(rows.starts))


def _rows(pairs: Pairs, count: int) -> Rows:
    """Pairs that are sorted by their first number as lists."""
    return Rows(np.searchsorted(pairs.unit, np.arange(count + 1)), pairs.item)
