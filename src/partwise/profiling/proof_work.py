"""What a part of a graph asks of a prover: a row of work for each node, and its boundary.

The part is taken as `verification.zk.circuits` rewrites it: convolutions as checked products, MaxPool by Relu and
before a Relu that precedes it; in integer mode nothing is rebased, otherwise every product is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

from partwise.ir import Graph, Kind, Node, operator
from partwise.ir.operators import Call
from partwise.profiling.products import products
from partwise.profiling.proof import ProofStep, ProofWork

__all__ = ["graph_work", "node_work", "part_work"]

NORM_CELLS = 114
"""An element of LayerNorm at the prover's own scales. Source: shared facts, 102–126."""
SOFTMAX_CELLS = 114
"""An element. Assumed like LayerNorm: a sum and a division a row, a look-up an element."""
GELU_CELLS = 99
"""An element of Gelu by Erf at the prover's own scales. Source: shared facts."""
TABLE_CELLS = 1
"""An element of Erf, Tanh, Sigmoid, Exp beside the table itself. Source: shared facts."""
GELU_ROWS, ROOT_ROWS = 1000, 1023
"""Of the tables that `verification.zk.circuits` draws."""
ROOT_DIVISIONS = 8
"""Of a row of LayerNorm: two to the table's index, two for each of three steps of Newton's."""
_RELUS = frozenset("relu relu_ threshold leakyrelu clip hardtanh".split())
_FREE = frozenset("identity dropout cast shape size".split())
_SCALED_TWICE = frozenset("mul pow div".split())


def graph_work(graph: Graph, sizes: Mapping[str, int] | None = None, *, integer: bool = True) -> tuple[ProofWork, ...]:
    """A whole graph as one circuit."""
    outputs = [output.tensor for output in graph.outputs]
    return part_work(graph, range(len(graph.nodes)), graph.inputs, outputs, sizes, integer=integer)


def part_work(
    graph: Graph,
    nodes: Iterable[int],
    inputs: Sequence[str],
    outputs: Sequence[str],
    sizes: Mapping[str, int] | None = None,
    *,
    integer: bool = True,
) -> tuple[ProofWork, ...]:
    """Some nodes of a graph as one circuit.

    Args:
        graph: that has them.
        nodes: all that it executes.
        inputs: tensors that it receives.
        outputs: tensors that it gives away.
        sizes: values for the graph's symbols.
        integer: weights as integers, scale 0, nothing rebased.
    """
    known = graph.hints | dict(sizes or {})
    given = [ProofWork(ProofStep.GIVEN, graph.spec[name].elements(known)) for name in inputs]
    results = [ProofWork(ProofStep.RESULT, graph.spec[name].elements(known)) for name in outputs]
    inner = [work for index in nodes for work in node_work(graph, index, known, integer=integer)]
    return (*given, *inner, *results)


def node_work(graph: Graph, index: int, sizes: dict[str, int], *, integer: bool = True) -> tuple[ProofWork, ...]:
    """One node; nothing where it only moves values or its shapes are unknown."""
    node = graph.nodes[index]
    row = operator(node.op, node.module)
    call = Call(node, graph.spec, sizes)
    elements = prod(call.out())
    macs = row.count_macs(graph, node, sizes)
    if macs:
        return _products(row.kind, call, macs, elements, integer)
    match row.kind:
        case Kind.POOL:
            return _pool(graph, node, sizes, elements, integer)
        case Kind.NORM if integer and "batch" not in _bare(node):
            return _norm(elements // call.out()[-1], call.out()[-1])
        case Kind.NORM:
            return (ProofWork(ProofStep.CELL, NORM_CELLS * elements),)
        case Kind.REDUCTION:
            each = SOFTMAX_CELLS if "softmax" in _bare(node) else 1
            return (ProofWork(ProofStep.CELL, each * max(elements, prod(call.shape(0)))),)
        case Kind.ELEMENTWISE:
            return _elementwise(graph, node, sizes, elements, integer)
        case Kind.EMBEDDING if _bare(node) == "gather" and node.inputs[-1] in graph.producer:
            return (ProofWork(ProofStep.LOOKUP, elements, call.shape(0)[0]),)
        case _:
            return ()


def _products(kind: Kind, call: Call, macs: int, elements: int, integer: bool) -> tuple[ProofWork, ...]:
    """Each matrix product, a bias, and the rebase of what comes out."""
    found = list[ProofWork]()
    for each in products(kind, call, macs):
        if each.rows > 1 and each.columns > 1:
            sides = (each.columns, each.rows) if kind is Kind.CONV else (each.rows, each.columns)  # its weight is left
            found.append(ProofWork(ProofStep.CHECKED, each.batch, each.depth, sides))
        else:
            found.append(ProofWork(ProofStep.DOT, each.batch * each.rows * each.columns, each.depth))
    if len(call.node.args) > 2 and call.shape(2):
        found.append(ProofWork(ProofStep.CELL, elements))
    return (*found, *_rebased(elements, integer))


def _pool(graph: Graph, node: Node, sizes: dict[str, int], elements: int, integer: bool) -> tuple[ProofWork, ...]:
    """A maximum as b + Relu(a − b), all but one element of the window; an average as a sum."""
    call = Call(node, graph.spec, sizes)
    window = _window(call, elements)
    if "max" in _bare(node):
        pairs = elements * (window - 1)
        return (ProofWork(ProofStep.CELL, 2 * pairs), ProofWork(ProofStep.RELU, pairs))
    return (ProofWork(ProofStep.CELL, elements * (window - 1)), *_rebased(elements, integer))


def _window(call: Call, elements: int) -> int:
    kernel = call.node.keyword("kernel_shape") or call.argument(1)
    if isinstance(kernel, tuple):
        return prod(call.integer(size, 1) for size in kernel)
    return max(1, prod(call.shape(0)) // max(1, elements))


def _elementwise(
    graph: Graph, node: Node, sizes: dict[str, int], elements: int, integer: bool
) -> tuple[ProofWork, ...]:
    name = _bare(node)
    if name in _RELUS:
        return (ProofWork(ProofStep.RELU, _pooled_later(graph, node, sizes) or elements),)
    if "gelu" in name or (name == "erf" and integer):
        return _gelu(elements) if integer else (ProofWork(ProofStep.CELL, GELU_CELLS * elements),)
    if name == "less" and integer:
        return _compared(elements)
    if name in _FREE:
        return ()
    cells = (ProofWork(ProofStep.CELL, TABLE_CELLS * elements),)
    return (*cells, *_rebased(elements, integer)) if name in _SCALED_TWICE else cells


def _compared(elements: int) -> tuple[ProofWork, ...]:
    """A comparison, which a circuit holds only at the end of an exact division: with the division that it ends."""
    return (ProofWork(ProofStep.REBASE, elements), ProofWork(ProofStep.LESS, elements))


def _divided(elements: int) -> tuple[ProofWork, ...]:
    """An exact division by a power of two, as `verification.zk.circuits.division` draws it."""
    return (ProofWork(ProofStep.CELL, 5 * elements), *_compared(elements))


def _gelu(elements: int) -> tuple[ProofWork, ...]:
    """Relu, |x|, its table's index, held to the last row, and what the table says."""
    return (
        *_divided(elements),
        ProofWork(ProofStep.RELU, 2 * elements),
        ProofWork(ProofStep.CELL, 5 * elements),
        ProofWork(ProofStep.LOOKUP, elements, GELU_ROWS),
    )


def _norm(rows: int, width: int) -> tuple[ProofWork, ...]:
    """Rounded before and after; deviations, squares, two sums a row; a root a row by a table and Newton's steps."""
    elements = rows * width
    return (
        *_divided(2 * elements + ROOT_DIVISIONS * rows),
        ProofWork(ProofStep.DOT, 2 * rows, width),
        ProofWork(ProofStep.CELL, 8 * elements),
        ProofWork(ProofStep.LOOKUP, rows, ROOT_ROWS),
    )


def _pooled_later(graph: Graph, node: Node, sizes: dict[str, int]) -> int:
    """Elements left where a maximum alone reads a Relu and so goes before it; 0 otherwise."""
    readers = graph.consumers.get(node.outputs[0], ())
    returned = {output.tensor for output in graph.outputs}
    if len(readers) != 1 or node.outputs[0] in returned:
        return 0
    reader = graph.nodes[readers[0]]
    is_maximum = operator(reader.op, reader.module).kind is Kind.POOL and "max" in _bare(reader)
    return prod(Call(reader, graph.spec, sizes).out()) if is_maximum else 0


def _rebased(elements: int, integer: bool) -> tuple[ProofWork, ...]:
    return () if integer else (ProofWork(ProofStep.REBASE, elements),)


def _bare(node: Node) -> str:
    """`aten.max_pool2d.default`, `onnx.MaxPool` -> `max_pool2d`, `maxpool`."""
    parts = node.op.split(".")
    return (parts[1] if parts[0] == "aten" else parts[-1]).strip("_").lower()
