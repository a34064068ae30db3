"""Absurd sizes: what an operator may be asked to make from numbers that stand in a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from partwise.errors import GraphError
from partwise.ir.arguments import Argument, Sym
from partwise.ir.dims import evaluate
from partwise.ir.graph import Graph, Node
from partwise.ir.operators import Kind, operator

__all__ = ["MOST_ELEMENTS", "MOST_GROWTH", "refuse_absurd"]

MOST_ELEMENTS = 1 << 33
"""Of one factory's result. The mask of a sequence of 65,536 has half as many."""
MOST_GROWTH = 1 << 31
"""Of one number by which a result may be larger than its argument."""


def refuse_absurd(graph: Graph, bindings: Mapping[str, int]) -> None:
    """Raise if a factory, or an operator that multiplies sizes, asks for more than any model needs.

    Args:
        graph: from anywhere.
        bindings: a value for each symbol.

    Raises:
        GraphError: which node, and for how much it asks.
    """
    for node in graph.nodes:
        row = operator(node.op, node.module)
        if not row.limit:
            continue
        most = MOST_ELEMENTS if row.kind is Kind.FACTORY else MOST_GROWTH
        asked = max(_asked(node, bindings, whole=row.kind is Kind.FACTORY), default=0)
        if asked > most:
            raise GraphError(
                f"node `{node.name}` ({node.op})", "asks for an absurd size", expected=f"≤ {most}", got=asked
            )


def _asked(node: Node, bindings: Mapping[str, int], *, whole: bool) -> Iterator[int]:
    """Sizes in a node's arguments: each list's product where it is a whole shape, each number otherwise."""
    for argument in node.args:
        if isinstance(argument, tuple):
            numbers = [abs(n) for item in argument if (n := _integer(item, bindings)) is not None]
            yield prod(numbers) if whole else max(numbers, default=0)
        elif not any(isinstance(other, tuple) for other in node.args):
            yield abs(_integer(argument, bindings) or 0)


def _integer(argument: Argument, bindings: Mapping[str, int]) -> int | None:
    if isinstance(argument, Sym):
        return evaluate(argument.expression, bindings)
    return argument if isinstance(argument, int) else None
