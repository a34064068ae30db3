"""The source document's own fusion: its pairs, its boundaries, its way of counting traffic.

Kept to reproduce its figures; `docs/fusion.md` says what they mean and how they differ from ours.
Source: seed 004, "Fusion-Based Partitioning"; what it leaves open (which pairs fuse, that a fused tensor is
counted once though memory would see it written and read) was read off its public successor's results, which
print 97.75 and 78.58 MB for ResNet-18.
"""

from __future__ import annotations

from partwise.ir import Kind
from partwise.profiling.fusion_flow import Flow, Unit

__all__ = ["source_unfused_bytes", "source_unit", "source_units"]

_ACTIVATIONS = frozenset(
    "relu.default hardtanh.default relu6.default gelu.default hardswish.default Relu Clip Gelu HardSwish".split()
)
_BATCH_NORMS = frozenset("_native_batch_norm_legit_no_training.default batch_norm.default BatchNormalization".split())
_SUMS = frozenset("add.Tensor Add".split())
_PAIRS = {
    ("conv", "norm"), ("conv", "activation"), ("norm", "activation"),
    ("linear", "norm"), ("linear", "activation"), ("sum", "activation"),
}  # fmt: skip


def source_units(flow: Flow) -> tuple[tuple[int, ...], ...]:
    """Chains grown from each node in order: on to the only reader, where the pair is listed and it is no join."""
    taken, found = set[int](), list[tuple[int, ...]]()
    for start in range(len(flow.graph.nodes)):
        if start in taken:
            continue
        chain = [start]
        while (following := _follow(flow, chain[-1])) is not None and following not in taken:
            chain.append(following)
        taken.update(chain)
        found.append(tuple(chain))
    return tuple(found)


def source_unit(flow: Flow, nodes: tuple[int, ...]) -> Unit:
    """A chain's traffic as the source counts it: every edge into it, its last result, its trained parameters."""
    graph, inside = flow.graph, {name for index in nodes for name in flow.graph.nodes[index].outputs}
    read = [name for index in nodes for name in graph.nodes[index].inputs]
    held = {name for name in read if name in graph.held and graph.held[name].trainable}
    return Unit(
        nodes=nodes,
        input_bytes=sum(flow.size[n] for n in read if n not in inside and n not in flow.resting),
        output_bytes=flow.size[graph.nodes[nodes[-1]].name],
        weight_bytes=sum(flow.size[name] for name in held),
    )


def source_unfused_bytes(flow: Flow, units: tuple[Unit, ...]) -> int:
    """The source's traffic without fusion: that with fusion, and each tensor within a chain once."""
    inner = sum(flow.size[flow.graph.nodes[index].name] for unit in units for index in unit.nodes[:-1])
    return inner + sum(unit.traffic_bytes for unit in units)


def _follow(flow: Flow, index: int) -> int | None:
    graph = flow.graph
    readers = graph.consumers.get(graph.nodes[index].name, ())
    if len(readers) != 1:
        return None
    after = readers[0]
    makers = {graph.producer[name] for name in graph.nodes[after].inputs if name in graph.producer}
    return after if len(makers) == 1 and (_role(flow, index), _role(flow, after)) in _PAIRS else None


def _role(flow: Flow, index: int) -> str:
    name = flow.graph.nodes[index].op.split(".", 1)[1]
    if name in _ACTIVATIONS:
        return "activation"
    if name in _BATCH_NORMS:
        return "norm"
    if name in _SUMS:
        return "sum"
    return {Kind.CONV: "conv", Kind.MATMUL: "linear"}.get(flow.kinds[index], "other")
