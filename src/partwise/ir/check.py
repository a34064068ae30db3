"""The invariants of a graph: every violation as one line; the caller decides what to do with them."""

from __future__ import annotations

from collections.abc import Iterator

from partwise.errors import GraphError
from partwise.ir.arguments import Argument, Sym
from partwise.ir.dims import names_in, parse_condition, symbols_of
from partwise.ir.graph import Graph

__all__ = ["check_graph", "violations"]


def check_graph(graph: Graph, subject: str = "graph") -> None:
    """Raise unless the graph keeps every invariant.

    Raises:
        GraphError: the first violation, and how many more there are.
    """
    found = list(violations(graph))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise GraphError(subject, f"breaks an invariant: {found[0]}{more}")


def violations(graph: Graph) -> Iterator[str]:
    """One line for each broken invariant: names defined once, defined before use, specified, bound."""
    sources = [*graph.inputs, *(w.tensor for w in graph.weights), *(c.tensor for c in graph.constants)]
    yield from _repeats("tensor", [spec.name for spec in graph.tensors])
    yield from _repeats("value", [*sources, *(name for node in graph.nodes for name in node.outputs)])
    yield from _repeats("output", [output.name for output in graph.outputs])
    yield from _undefined(graph, set(sources))
    yield from _unbound(graph)


def _repeats(what: str, names: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{what} `{name}` is defined twice"
        seen.add(name)


def _undefined(graph: Graph, known: set[str]) -> Iterator[str]:
    specified = graph.spec.keys()
    yield from (f"value `{name}` has no specification" for name in sorted(known - specified))
    for index, node in enumerate(graph.nodes):
        if not node.outputs:
            yield f"node {index} ({node.op}) has no output"
        for name in node.inputs:
            if name not in known:
                yield f"node {index} ({node.op}) reads `{name}` before it is defined"
        yield from (f"value `{name}` has no specification" for name in node.outputs if name not in specified)
        known.update(node.outputs)
    yield from (f"output `{name}` is never defined" for name in graph.ends if name not in known)


def _unbound(graph: Graph) -> Iterator[str]:
    symbols = {symbol.name for symbol in graph.symbols}
    yield from (f"symbol `{s.name}` has the negative hint {s.hint}" for s in graph.symbols if s.hint < 0)
    yield from _unbound_conditions(graph, symbols)
    for spec in graph.tensors:
        for dim in spec.shape or ():
            if isinstance(dim, int) and dim < 0:
                yield f"tensor `{spec.name}` has a negative dimension {dim}"
            for name in sorted(symbols_of(dim) - symbols):
                yield f"tensor `{spec.name}` uses the unknown symbol `{name}`"
    for node in graph.nodes:
        for argument in (*node.args, *(value for _, value in node.kwargs)):
            for name in sorted(_argument_symbols(argument) - symbols):
                yield f"node `{node.name}` uses the unknown symbol `{name}`"


def _unbound_conditions(graph: Graph, symbols: set[str]) -> Iterator[str]:
    for condition in graph.conditions:
        for name in sorted(names_in(parse_condition(condition)) - symbols):
            yield f"condition `{condition}` uses the unknown symbol `{name}`"


def _argument_symbols(argument: Argument) -> frozenset[str]:
    match argument:
        case Sym(expression):
            return symbols_of(expression)
        case tuple():
            return frozenset[str]().union(*(_argument_symbols(item) for item in argument))
        case _:
            return frozenset()
