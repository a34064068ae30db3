"""What each node reads and writes in memory: the base of every fusion rule's traffic.

What moves nothing by the profile (views; ONNX's reshapes) is free: a node that reads a view reads the memory it looks
at. Of a slice that is the slice alone, of an expanded value the value itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from partwise.ir import Graph, Kind
from partwise.profiling.cost import Cost
from partwise.profiling.liveness import state_views
from partwise.profiling.profile import Profile

__all__ = ["Flow", "Unit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Nodes that run as one kernel: what passes between them never reaches memory."""

    nodes: tuple[int, ...]
    """Indices, ascending. Views belong to no unit."""
    input_bytes: int
    """Activations read from memory, each tensor once."""
    output_bytes: int
    """Activations written to memory: what another unit or the caller reads."""
    weight_bytes: int
    """Weights and constants read, each once; of an embedding's table the rows that are looked up."""

    @property
    def activation_bytes(self) -> int:
        """Activations read and written."""
        return self.input_bytes + self.output_bytes

    @property
    def traffic_bytes(self) -> int:
        """Everything that crosses the memory's pins."""
        return self.activation_bytes + self.weight_bytes


class Flow:
    """A graph's memory traffic at given sizes.

    Attributes:
        graph: the graph.
        profile: its costs.
        kinds: of the nodes; a view is whatever moves and computes nothing.
        working: indices of the nodes that are no views.
        roots: for each tensor the memory it looks at.
        reads: for each node the pairs (memory, tensor) it reads: the tensor is the memory itself or a view of it.
        readers: for each memory the nodes that read it, ascending.
        made: for each node the memory it makes.
        maker: the node that makes a memory; absent for inputs, weights and constants.
        size: bytes of each tensor.
        kept: memory that must outlive the run: results and state.
    """

    def __init__(self, graph: Graph, profile: Profile) -> None:
        self.graph, self.profile = graph, profile
        self.size = {name: spec.bytes(profile.sizes) for name, spec in graph.spec.items()}
        self.resting = {*graph.held, *(constant.tensor for constant in graph.constants), *state_views(graph)}
        self.kinds = tuple(_kind(cost) for cost in profile.nodes)
        self.working = tuple(i for i, kind in enumerate(self.kinds) if kind is not Kind.VIEW)
        roots = self.roots = self._roots()
        self.reads: list[tuple[tuple[str, str], ...]] = [()] * len(graph.nodes)
        self.made: list[tuple[str, ...]] = [()] * len(graph.nodes)
        self.readers: dict[str, list[int]] = {}
        self.maker: dict[str, int] = {}
        for index in self.working:
            node = graph.nodes[index]
            self.reads[index] = tuple((roots[name], name) for name in node.inputs)
            self.made[index] = node.outputs
            self.maker.update(dict.fromkeys(node.outputs, index))
            for root in dict.fromkeys(root for root, _ in self.reads[index]):
                self.readers.setdefault(root, []).append(index)
        self.kept = {roots[name] for name in graph.ends}

    def _roots(self) -> dict[str, str]:
        roots = {name: name for name in self.graph.spec}
        for node, kind in zip(self.graph.nodes, self.kinds, strict=True):
            if kind is Kind.VIEW and node.inputs:
                roots.update(dict.fromkeys(node.outputs, roots[node.inputs[0]]))
        return roots

    def unit(self, nodes: Iterable[int]) -> Unit:
        """What these nodes read and write when they run as one kernel."""
        inside, size = set(nodes), self.size
        if len(inside) == 1 and self.kinds[min(inside)] in _COUNTED:
            return _counted(self.profile.nodes[min(inside)])
        inputs, weights, outputs, tables = dict[tuple[str, str], int](), dict[str, int](), 0, 0
        for index in inside:
            for root, tensor in self.reads[index]:
                if root not in self.resting:
                    if self.maker.get(root) not in inside:
                        inputs[root, tensor] = size[tensor]
                elif self.kinds[index] is Kind.EMBEDDING:
                    tables += min(size[root], sum(size[name] for name in self.made[index]))
                else:
                    weights[root] = size[root]
            for name in self.made[index]:
                if self.leaves(name, inside):
                    outputs += size[name]
        return Unit(
            nodes=tuple(sorted(inside)),
            input_bytes=self._read_bytes(inputs),
            output_bytes=outputs,
            weight_bytes=tables + sum(weights.values()),
        )

    def _read_bytes(self, inputs: Mapping[tuple[str, str], int]) -> int:
        """Bytes read of several views of several memories: of each memory no more than it has."""
        parts: dict[str, int] = {}
        for (root, _), count in inputs.items():
            parts[root] = parts.get(root, 0) + count
        return sum(min(self.size[root], count) for root, count in parts.items())

    def leaves(self, memory: str, inside: set[int]) -> bool:
        """Whether a memory made inside is read outside, or returned; unread side results are never written."""
        return memory in self.kept or not inside.issuperset(self.readers.get(memory, ()))

    def alone(self) -> tuple[Unit, ...]:
        """Every node as a kernel of its own."""
        return tuple(self.unit((index,)) for index in self.working)

    def compulsory_bytes(self) -> int:
        """Traffic of all nodes as one kernel: inputs and weights read once, results written once."""
        return self.unit(self.working).traffic_bytes


_COUNTED = (Kind.STATE, Kind.CONTROL, Kind.EXPERTS)
"""Kinds that stand alone and do not read or write whole values: the profile knows what they move."""


def _kind(cost: Cost) -> Kind:
    return cost.kind if cost.macs or cost.traffic_bytes or cost.kind is Kind.FACTORY else Kind.VIEW


def _counted(cost: Cost) -> Unit:
    return Unit(
        nodes=(cost.node,),
        input_bytes=cost.input_bytes,
        output_bytes=cost.output_bytes,
        weight_bytes=cost.weight_bytes + cost.state_bytes,
    )
