"""Which values can cross a cut, and what a stage must compute again because they cannot.

Two kinds of node are never placed, but repeated in every stage that needs them:
- views: only the memory they look at crosses (the receiver replays the chain of views); likewise every node
  that makes something else than an array of numbers (ONNX sequences, strings, 4-bit integers), which no interface
  carries;
- derived nodes: cheap ones that depend on integer inputs (ids, masks, positions), sizes and weights alone.
Every other node is *placed* in exactly one stage. This module answers, for each placed node, which values it
needs from outside the repeated nodes: the graph that the planner sees, and the closure that the cutter writes.

Sound only on a functional graph: a node's result depends on its arguments alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from partwise.ir.dtypes import DType
from partwise.ir.graph import Graph, Node
from partwise.ir.operators import Kind, Operator, operator

__all__ = ["Closure", "Contraction", "contract", "storage_roots"]

_SHORT_CONTRACTION = 4  # a rotary table is positions [.., 1] @ inverse frequencies [1, ..]: length 1
_LARGE_WEIGHT_BYTES = 1 << 20
"""A look-up in a weight above this size is an embedding, whatever operator does it: repeating it would put the
table in several stages. The relative-position tables of vision models lie below."""
_MOST_REPEATED = 512
"""A derived node that needs more nodes than this before it is no longer cheap; it is placed. Swin's masks need
about 100."""
_NO_NUMBERS = frozenset({DType.OPAQUE, DType.STRING, DType.INT4, DType.UINT4})
"""Types whose values no interface carries; of 4-bit integers onnxruntime gives no array."""


@dataclass(frozen=True, slots=True)
class Closure:
    """What computing some tensors takes, beyond the placed nodes."""

    repeated: frozenset[int]
    """Nodes to repeat here."""
    received: frozenset[str]
    """Outputs of placed nodes, and inputs of the model, that they start from."""
    weights: frozenset[str]
    """Weights and constants that they read."""


class Contraction:
    """A graph seen through its placed nodes.

    Attributes:
        graph: the graph.
        placed: indices of the placed nodes, in the graph's order.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._repeated = _repeated(graph)
        self._held = {w.tensor for w in graph.weights} | {c.tensor for c in graph.constants}
        self._reads: dict[int, Closure] = {}
        self.placed = tuple(i for i in range(len(graph.nodes)) if i not in self._repeated)

    def of(self, tensor: str) -> Closure:
        """What a stage that lacks this tensor needs to have it."""
        return self.needs((tensor,))

    def reads(self, index: int) -> Closure:
        """What a placed node needs besides itself."""
        if index not in self._reads:
            self._reads[index] = self.needs(self.graph.reads[index])
        return self._reads[index]

    @property
    def closures(self) -> Mapping[int, Closure]:
        """`reads` of every placed node, each worked out when it is asked for."""
        return _Closures(self)

    @cached_property
    def roots(self) -> Mapping[str, str]:
        """For each tensor the one whose memory it looks at."""
        return storage_roots(self.graph)

    def is_placed(self, index: int) -> bool:
        """Whether a node belongs to exactly one stage."""
        return index not in self._repeated

    def join(self, closures: Iterable[Closure]) -> Closure:
        """What several computations need together."""
        several = tuple(closures)
        return Closure(
            frozenset[int]().union(*(c.repeated for c in several)),
            frozenset[str]().union(*(c.received for c in several)),
            frozenset[str]().union(*(c.weights for c in several)),
        )

    def needs(self, tensors: Iterable[str]) -> Closure:
        """What several tensors need together, in one walk back from them."""
        graph, producer = self.graph, self.graph.producer
        repeated, received, weights = set[int](), set[str](), set[str]()
        waiting = list(tensors)
        while waiting:
            name = waiting.pop()
            index = producer.get(name)
            if index is None:
                (weights if name in self._held else received).add(name)
            elif index not in self._repeated:
                received.add(name)
            elif index not in repeated:
                repeated.add(index)
                waiting.extend(graph.reads[index])
        return Closure(frozenset(repeated), frozenset(received), frozenset(weights))


class _Closures(Mapping[int, Closure]):
    """The closures of a contraction's placed nodes."""

    def __init__(self, contraction: Contraction) -> None:
        self._contraction = contraction

    def __getitem__(self, index: int) -> Closure:
        return self._contraction.reads(index)

    def __iter__(self) -> Iterator[int]:
        return iter(self._contraction.placed)

    def __len__(self) -> int:
        return len(self._contraction.placed)


def contract(graph: Graph) -> Contraction:
    """A graph seen through its placed nodes (see the module)."""
    return Contraction(graph)


def storage_roots(graph: Graph) -> dict[str, str]:
    """For each tensor the one whose memory it looks at: itself unless a view made it."""
    roots = {name: name for name in graph.spec}
    for node, names in zip(graph.nodes, graph.reads, strict=True):
        if names and operator(node.op).kind is Kind.VIEW:
            roots.update(dict.fromkeys(node.outputs, roots[names[0]]))
    return roots


def _repeated(graph: Graph) -> frozenset[int]:
    """Views and derived nodes; none are derived where that would leave nothing to place."""
    unsent = frozenset(spec.name for spec in graph.tensors if spec.dtype in _NO_NUMBERS)
    views = frozenset(i for i, node in enumerate(graph.nodes) if _is_view(node, unsent))
    both = views | _derived(graph)
    return both if len(both) < len(graph.nodes) else views


def _is_view(node: Node, unsent: frozenset[str]) -> bool:
    return operator(node.op).kind is Kind.VIEW or not unsent.isdisjoint(node.outputs)


def _derived(graph: Graph) -> frozenset[int]:
    """Cheap nodes whose whole past is free: integer inputs, weights, constants and other derived nodes."""
    held = {weight.tensor for weight in graph.weights} | {constant.tensor for constant in graph.constants}
    free = {name for name in graph.inputs if not graph.spec[name].dtype.is_float} | held
    free -= {mutation.target for mutation in graph.mutations}
    past: dict[str, int] = dict.fromkeys(free, 0)
    found: set[int] = set()
    for index, node in enumerate(graph.nodes):
        if not all(name in past for name in graph.reads[index]) or not _is_cheap(graph, node, operator(node.op)):
            continue
        nodes = 1 + sum(past[name] for name in graph.reads[index])
        if nodes > _MOST_REPEATED and (nodes := _count_past(graph, index, found)) > _MOST_REPEATED:
            continue
        past.update(dict.fromkeys(node.outputs, nodes))
        found.add(index)
    return frozenset(found)


def _count_past(graph: Graph, index: int, derived: set[int]) -> int:
    """How many derived nodes a node needs, itself included; stops counting above the limit."""
    seen, waiting = {index}, [index]
    while waiting and len(seen) <= _MOST_REPEATED:
        makers = {graph.producer.get(name) for name in graph.reads[waiting.pop()]}
        new = [maker for maker in makers if maker is not None and maker in derived and maker not in seen]
        seen.update(new)
        waiting.extend(new)
    return len(seen)


def _is_cheap(graph: Graph, node: Node, row: Operator) -> bool:
    if row.kind is Kind.MATMUL:
        outputs = graph.spec[node.outputs[0]].elements(graph.hints)
        return row.count_macs(graph, node, graph.hints) <= _SHORT_CONTRACTION * outputs
    return row.cheap and not _looks_up_weight(graph, node)


def _looks_up_weight(graph: Graph, node: Node) -> bool:
    """Whether it reads a large weight together with something that is no weight."""
    names = node.inputs
    if all(name in graph.held for name in names):
        return False
    return any(graph.spec[name].bytes(graph.hints) > _LARGE_WEIGHT_BYTES for name in names if name in graph.held)
