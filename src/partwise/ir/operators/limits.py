"""Absurd sizes: what an operator may be asked to make from numbers that stand in a graph.

What is asked for is read off the arguments, never off the shape that a file states for the result. This keeps a few
bytes of JSON from asking for petabytes; it is no bound on what a chain of honest operators may compute.
"""

from __future__ import annotations

from collections.abc import Mapping
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

_WINDOWS = {
    "bartlett": "default periodic",
    "blackman": "default periodic",
    "hamming": "default periodic periodic_alpha periodic_alpha_beta",
    "kaiser": "default periodic beta",
}
_PARAMETERS = {
    **{
        f"aten.{name}_window.{overload}": ("window_length",)
        for name, overloads in _WINDOWS.items()
        for overload in overloads.split()
    },
    "aten.arange.default": ("end",),
    "aten.arange.start": ("start", "end"),
    "aten.arange.start_step": ("start", "end", "step"),
    "aten.eye.default": ("n",),
    "aten.eye.m": ("n", "m"),
    "aten.fft_fftfreq.default": ("n", "d"),
    "aten.fft_rfftfreq.default": ("n", "d"),
    "aten.linspace.default": ("start", "end", "steps"),
    "aten.logspace.default": ("start", "end", "steps", "base"),
}
_COUNTS = ("n", "m", "steps", "window_length")
"""Leading parameters of the factories that take no shape, since each may be given by name.
Source: native_functions.yaml of PyTorch."""


def refuse_absurd(graph: Graph, bindings: Mapping[str, int], subject: str = "graph") -> None:
    """Raise if a factory, or an operator that multiplies sizes, asks for more than any model needs.

    Args:
        graph: from anywhere.
        bindings: a value for each symbol.
        subject: what the error is about.

    Raises:
        GraphError: which node, and for how much it asks.
    """
    for node in graph.nodes:
        row = operator(node.op, node.module)
        if not row.limit:
            continue
        factory = row.kind is Kind.FACTORY
        most = MOST_ELEMENTS if factory else MOST_GROWTH
        asked = _made(node, bindings) if factory else max(_growth(node, bindings), default=0)
        if not asked <= most:  # so that a NaN is refused too
            raise GraphError(f"{subject}, node `{node.name}` ({node.op})", "asks for an absurd size",
                             expected=f"≤ {most}", got=asked if asked < 1e18 else "more than 10^18")  # fmt: skip


def _made(node: Node, bindings: Mapping[str, int]) -> float:
    """How many elements a factory makes; at least so many where it is none of those above."""
    names = _PARAMETERS.get(node.op)
    if names is None:
        shapes = [argument for argument in _arguments(node) if isinstance(argument, tuple)]
        if not shapes:
            return prod(_all_numbers(node, bindings))
        return max(prod(_numbers(shape, bindings)) for shape in shapes)
    given = {**dict(zip(names, node.args, strict=False)), **dict(node.kwargs)}
    found = {name: next(iter(_numbers(given.get(name), bindings)), None) for name in names}
    if "end" in found and "steps" not in found:
        length = (found["end"] or 0) - (found.get("start") or 0)
        return abs(length) // abs(found.get("step") or 1)  # of whole numbers exact, however large
    return prod(abs(found[name] or 0) for name in _COUNTS if name in found) ** (2 if names == ("n",) else 1)


def _growth(node: Node, bindings: Mapping[str, int]) -> list[float]:
    """Numbers by which an operator multiplies sizes; what a pad is filled with is none, though it may be -inf."""
    lists = [argument for argument in _arguments(node) if isinstance(argument, tuple)]
    if not lists:
        return _all_numbers(node, bindings)
    return [abs(number) for argument in lists for number in _numbers(argument, bindings)]


def _all_numbers(node: Node, bindings: Mapping[str, int]) -> list[float]:
    return [abs(number) for argument in _arguments(node) for number in _numbers(argument, bindings)]


def _arguments(node: Node) -> tuple[Argument, ...]:
    return (*node.args, *(value for _, value in node.kwargs))


def _numbers(argument: Argument, bindings: Mapping[str, int]) -> list[float]:
    match argument:
        case bool():
            return []
        case int() | float():
            return [argument]
        case Sym(expression):
            return [evaluate(expression, bindings)]
        case tuple():
            return [number for item in argument for number in _numbers(item, bindings)]
        case _:
            return []
