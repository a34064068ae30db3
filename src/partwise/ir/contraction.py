"""Which values can cross a cut, and what a stage must compute again because they cannot.

Two kinds of node are never placed, but repeated in every stage that needs them:
- views: only the memory they look at crosses (the receiver replays the chain of views); likewise every node
  that makes something else than a tensor of numbers (ONNX sequences, strings), which no interface carries;
- derived nodes: cheap ones that depend on integer inputs (ids, masks, positions), sizes and weights alone.
Every other node is *placed* in exactly one stage. This module answers, for each placed node, which values it
needs from outside the repeated nodes: the graph that the planner sees, and the closure that the cutter writes.

Sound only on a functional graph: a node's result depends on its arguments alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from partwise.ir.dtypes import DType
from partwise.ir.graph import Graph, Node
from partwise.ir.operators import Kind, Operator, operator

__all__ = ["Closure", "Contraction", "contract"]

_SHORT_CONTRACTION = 4  # a rotary table is positions [.., 1] @ inverse frequencies [1, ..]: length 1
_SMALL_TABLE_BYTES = 1 << 20  # a cos table of 4,096 positions × 64; a vocabulary's embeddings take 10 MB and more
_NO_NUMBERS = frozenset({DType.OPAQUE, DType.STRING})


@dataclass(frozen=True, slots=True)
class Closure:
    """What computing some tensors takes, beyond the placed nodes."""

    repeated: frozenset[int]
    """Nodes to repeat here."""
    received: frozenset[str]
    """Outputs of placed nodes, and inputs of the model, that they start from."""
    weights: frozenset[str]
    """Weights and constants that they read."""


_NONE: frozenset[str] = frozenset()


class Contraction:
    """A graph seen through its placed nodes.

    Attributes:
        graph: the graph.
        placed: indices of the placed nodes, in the graph's order.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        repeated = _repeated(graph)
        self.placed = tuple(i for i in range(len(graph.nodes)) if i not in repeated)
        self._placed_set = frozenset(self.placed)
        self._closures: dict[str, Closure] = {}
        for tensor in graph.inputs:
            self._closures[tensor] = Closure(frozenset(), frozenset({tensor}), _NONE)
        for tensor in (*(w.tensor for w in graph.weights), *(c.tensor for c in graph.constants)):
            self._closures[tensor] = Closure(frozenset(), _NONE, frozenset({tensor}))
        for index, node in enumerate(graph.nodes):
            for name in node.outputs:
                placed = Closure(frozenset(), frozenset({name}), _NONE)
                self._closures[name] = placed if index in self._placed_set else self._join(node.inputs, index)

    def of(self, tensor: str) -> Closure:
        """What a stage that lacks this tensor needs to have it."""
        return self._closures[tensor]

    def reads(self, index: int) -> Closure:
        """What a placed node needs besides itself."""
        return self._join(self.graph.nodes[index].inputs)

    def join(self, closures: Iterable[Closure]) -> Closure:
        """What several computations need together."""
        return _union(tuple(closures))

    def is_placed(self, index: int) -> bool:
        """Whether a node belongs to exactly one stage."""
        return index in self._placed_set

    def _join(self, names: Iterable[str], index: int | None = None) -> Closure:
        own = () if index is None else (Closure(frozenset({index}), _NONE, _NONE),)
        return _union((*own, *(self._closures[name] for name in names)))


def _union(closures: tuple[Closure, ...]) -> Closure:
    return Closure(
        frozenset[int]().union(*(c.repeated for c in closures)),
        _NONE.union(*(c.received for c in closures)),
        _NONE.union(*(c.weights for c in closures)),
    )


def contract(graph: Graph) -> Contraction:
    """A graph seen through its placed nodes (see the module)."""
    return Contraction(graph)


def _repeated(graph: Graph) -> frozenset[int]:
    """Views and derived nodes; none are derived where that would leave nothing to place."""
    views = frozenset(i for i, node in enumerate(graph.nodes) if _is_view(graph, node))
    derived = _derived(graph)
    return views | derived if len(views | derived) < len(graph.nodes) else views


def _is_view(graph: Graph, node: Node) -> bool:
    return operator(node.op).kind is Kind.VIEW or any(graph.spec[n].dtype in _NO_NUMBERS for n in node.outputs)


def _derived(graph: Graph) -> frozenset[int]:
    free = {name for name in graph.inputs if not graph.spec[name].dtype.is_float}
    free |= {weight.tensor for weight in graph.weights} | {constant.tensor for constant in graph.constants}
    free -= {mutation.target for mutation in graph.mutations}
    found: set[int] = set()
    for index, node in enumerate(graph.nodes):
        if all(name in free for name in node.inputs) and _is_cheap(graph, node, operator(node.op)):
            free.update(node.outputs)
            found.add(index)
    return frozenset(found)


def _is_cheap(graph: Graph, node: Node, row: Operator) -> bool:
    if row.kind is Kind.EMBEDDING and row.cheap:
        return graph.spec[node.inputs[0]].bytes(graph.hints) <= _SMALL_TABLE_BYTES
    if row.kind is not Kind.MATMUL:
        return row.cheap
    outputs = graph.spec[node.outputs[0]].elements(graph.hints)
    return row.count_macs(graph, node, graph.hints) <= _SHORT_CONTRACTION * outputs
