"""The cost of one node at given sizes.

1 MAC = 2 FLOPs. FLOPs are those of contractions (products, convolutions, attention, experts), the convention
of every published figure the project compares with; elementwise work shows in the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from partwise.hardware import Device, Product
from partwise.ir import Graph, Kind, Node, operator
from partwise.ir.operators import Call
from partwise.profiling.products import Parallelism, parallelism, products

__all__ = ["Bound", "Cost", "node_cost"]

_RELABELS = frozenset(f"onnx.{name}" for name in "Flatten Identity Reshape Shape Size Squeeze Unsqueeze".split())
"""Give the memory of their argument another shape, or read none of it: onnxruntime moves nothing for them
(`AllocKind::kReuse`, docs/design of onnxruntime's memory planner), as torch's views."""
_ALONE = Parallelism()
_NO_STATES: Mapping[str, str] = {}
_LOOPS = frozenset({"onnx.Loop", "onnx.Scan", "onnx.SequenceMap"})


class Bound(StrEnum):
    """Which of the roofline's two sides is the longer one."""

    COMPUTE = "compute"
    MEMORY = "memory"
    NONE = "none"
    """Nothing is computed or moved: a view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Counts of one node."""

    node: int
    op: str
    module: str
    macs: int
    input_bytes: int
    """Activations read; 0 for a view."""
    output_bytes: int
    """Activations written; 0 for a view."""
    weight_bytes: int
    """Weights read, each tensor once; of an embedding's table the rows that are looked up, of experts those that some
    token may be sent to."""
    state_bytes: int = 0
    """K/V buffers read: they rest in memory between runs, as weights do, and no cache has them."""
    dtype: str
    """Of the first output."""
    kind: Kind = Kind.ELEMENTWISE
    products: tuple[Product, ...] = ()
    """Its contractions as matrix products."""
    parallelism: Parallelism = _ALONE
    row_elements: int = 1
    """Of the first result's last dim."""
    unknown: str = ""
    """Why these counts are less than the truth; empty where they are exact."""

    @property
    def flops(self) -> int:
        """Floating-point operations: 2 a multiply-accumulate."""
        return 2 * self.macs

    @property
    def traffic_bytes(self) -> int:
        """Bytes read and written: activations, weights and K/V."""
        return self.input_bytes + self.output_bytes + self.weight_bytes + self.state_bytes

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: FLOPs a byte; 0 where nothing is moved."""
        return self.flops / self.traffic_bytes if self.traffic_bytes else 0.0

    def bound(self, device: Device) -> Bound:
        """What limits the node on a device: arithmetic or memory traffic."""
        if not self.flops and not self.traffic_bytes:
            return Bound.NONE
        ridge = device.peak(self.dtype).flops_per_s / device.memory_bytes_per_s
        return Bound.COMPUTE if self.intensity > ridge else Bound.MEMORY

    def seconds(self, device: Device) -> float:
        """The roofline: the longer of arithmetic at peak and memory traffic at full bandwidth [s].

        A type that the device lacks takes the rate that `Device.peak` falls to.

        Source: Williams et al., "Roofline", CACM 52(4), 2009.
        """
        return max(self.flops / device.peak(self.dtype).flops_per_s, self.traffic_bytes / device.memory_bytes_per_s)


def node_cost(
    graph: Graph,
    index: int,
    bindings: Mapping[str, int],
    sizes: Mapping[str, int],
    states: Mapping[str, str] = _NO_STATES,
) -> Cost:
    """Counts of the node with this index.

    Args:
        graph: that has it.
        index: of the node.
        bindings: a value for each symbol.
        sizes: bytes of each tensor at these values.
        states: `state_views(graph)`.
    """
    node = graph.nodes[index]
    row = operator(node.op, node.module)
    kind = Kind.STATE if index in graph.writes else row.kind
    macs = row.count_macs(graph, node, bindings)
    call = Call(node, graph.spec, bindings)
    read, written, held = _traffic(graph, node, kind, sizes, call)
    kept = [] if not states or kind in (Kind.STATE, Kind.VIEW) else [name for name in node.inputs if name in states]
    return Cost(
        node=index,
        op=node.op,
        module=node.module,
        kind=kind,
        macs=macs,
        input_bytes=read - sum(sizes[name] for name in kept),
        output_bytes=written,
        weight_bytes=held,
        state_bytes=sum(min(sizes[name], sizes[states[name]]) for name in kept),
        dtype=graph.spec[node.outputs[0]].dtype.value,
        products=products(row.kind, call, macs),
        parallelism=parallelism(row.kind, call.out()),
        row_elements=(call.out() or (1,))[-1],
        unknown=_unknown(graph, node, row.kind),
    )


def _traffic(graph: Graph, node: Node, kind: Kind, sizes: Mapping[str, int], call: Call) -> tuple[int, int, int]:
    """Activation bytes read and written, and bytes of weights read: one rule a kind."""
    inputs = node.inputs
    read = sum(sizes[name] for name in inputs if name not in graph.held)
    written = sum(sizes[name] for name in node.outputs)
    held = sum(sizes[name] for name in inputs if name in graph.held)
    match kind:
        case Kind.VIEW:
            return 0, 0, 0
        case _ if node.op in _RELABELS:
            return 0, 0, 0
        case Kind.EMBEDDING:
            return read, written, min(held, written)
        case Kind.EXPERTS:
            return read, written, held * _met(call) // call.shape(3)[0]
        case Kind.STATE if len(inputs) > 1:  # in place: of the buffer only what is written, the last argument
            changed = read - (sizes[inputs[0]] if inputs[0] not in graph.held else 0)
            return changed, min(sizes[inputs[-1]], written), 0
        case _:
            return read, written, held


def _met(call: Call) -> int:
    """Experts that some token is sent to, at most: each token chooses several."""
    tokens, chosen = call.shape(1)
    return min(call.shape(3)[0], tokens * chosen)


def _unknown(graph: Graph, node: Node, kind: Kind) -> str:
    """Why these counts cannot be relied on; empty where they can."""
    if any(graph.spec[name].shape is None for name in (*node.inputs, *node.outputs)):
        return "a shape is unknown"
    if kind is Kind.CONTROL and node.op in _LOOPS and node.keyword("@trips") is None:
        return "how often its body runs is unknown"
    if operator(node.op).uncounted:
        return "no rule counts its arithmetic"
    return ""
