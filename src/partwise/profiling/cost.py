"""The cost of one node at given sizes.

1 MAC = 2 FLOPs. FLOPs are those of contractions (products, convolutions, attention, experts), the convention
of every published figure the project compares with; elementwise work shows in the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from partwise.hardware import Device
from partwise.ir import Graph, Kind, operator

__all__ = ["Cost", "node_cost"]


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
    """Weights read, each tensor once; of an embedding's table the rows that are looked up."""
    dtype: str
    """Of the first output."""

    @property
    def flops(self) -> int:
        """Floating-point operations: 2 a multiply-accumulate."""
        return 2 * self.macs

    @property
    def traffic_bytes(self) -> int:
        """Bytes read and written: activations and weights."""
        return self.input_bytes + self.output_bytes + self.weight_bytes

    def seconds(self, device: Device) -> float:
        """The roofline: the longer of arithmetic at peak and memory traffic at full bandwidth [s].

        A type that the device lacks takes the rate that `Device.peak` falls to.

        Source: Williams et al., "Roofline", CACM 52(4), 2009.
        """
        return max(self.flops / device.peak(self.dtype).flops_per_s, self.traffic_bytes / device.memory_bytes_per_s)


def node_cost(graph: Graph, index: int, bindings: Mapping[str, int]) -> Cost:
    """Counts of the node with this index, at these sizes."""
    node, sizes = graph.nodes[index], dict(bindings)
    row = operator(node.op, node.module)
    moved = row.kind is not Kind.VIEW
    read = [name for name in node.inputs if name not in graph.held]
    written = sum(graph.spec[name].bytes(sizes) for name in node.outputs)
    held = sum(graph.spec[name].bytes(sizes) for name in node.inputs if name in graph.held)
    return Cost(
        node=index,
        op=node.op,
        module=node.module,
        macs=row.count_macs(graph, node, bindings),
        input_bytes=sum(graph.spec[name].bytes(sizes) for name in read) if moved else 0,
        output_bytes=written if moved else 0,
        weight_bytes=min(held, written) if row.kind is Kind.EMBEDDING else held if moved else 0,
        dtype=graph.spec[node.outputs[0]].dtype.value,
    )
