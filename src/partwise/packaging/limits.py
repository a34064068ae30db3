"""Factory operators must not be asked for absurd sizes: the one kind of operator whose result a literal decides.

What a factory makes is read off its arguments, never off the shape that the file states for it. This keeps a few
bytes of JSON from asking for petabytes; it is no bound on what a chain of honest operators may compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from partwise.errors import UnsafeFileError
from partwise.ir import Argument, Graph, Node, Sym, operator
from partwise.ir.dims import evaluate

__all__ = ["FACTORY_ELEMENTS", "check_factories", "factory_elements"]

FACTORY_ELEMENTS = 1 << 31
"""The most elements that one factory operator may make: a square mask for 46,000 tokens (assumed: beyond any
sequence that runs on one machine)."""

_SIZES = ("size",)
_LIKE = ("self", "size")
_PARAMETERS = {
    "arange.default": ("end",),
    "arange.start": ("start", "end"),
    "arange.start_step": ("start", "end", "step"),
    "empty.memory_format": _SIZES,
    "eye.default": ("n",),
    "eye.m": ("n", "m"),
    "full.default": _SIZES,
    "linspace.default": ("start", "end", "steps"),
    "new_empty.default": _LIKE,
    "new_full.default": _LIKE,
    "new_ones.default": _LIKE,
    "new_zeros.default": _LIKE,
    "ones.default": _SIZES,
    "zeros.default": _SIZES,
}
"""Names of the leading parameters, by which a size may be given. Source: native_functions.yaml of PyTorch."""
_BOUNDED = frozenset({"empty_like.default", "full_like.default", "ones_like.default", "zeros_like.default",
                      "scalar_tensor.default"})  # fmt: skip
"""Factories whose result has a given tensor's size, or one element."""


def check_factories(graph: Graph, sizes: Mapping[str, int], subject: str) -> None:
    """Raise if a factory operator would make too large a value at these sizes.

    Raises:
        UnsafeFileError: the operator and how many elements it asks for.
    """
    for node in graph.nodes:
        if operator(node.op, node.module).limit and (asked := factory_elements(node, sizes)) > FACTORY_ELEMENTS:
            raise UnsafeFileError(f"{subject}, `{node.op}`", "asks for an absurdly large value",
                                  expected=f"≤ {FACTORY_ELEMENTS} elements", got=_shown(asked))  # fmt: skip


def factory_elements(node: Node, sizes: Mapping[str, int]) -> float:
    """How many elements a factory makes; at least so many where it is not known exactly."""
    name = node.op.removeprefix("aten.")
    if name in _BOUNDED:
        return 1
    names = _PARAMETERS.get(name)
    if names is None:  # a new row of the table: every number it is given counts, until it is listed here
        return prod(
            max(1, abs(n)) for value in (*node.args, *dict(node.kwargs).values()) for n in _numbers(value, sizes)
        )
    given = {**dict(zip(names, node.args, strict=False)), **dict(node.kwargs)}
    found = {key: _numbers(given.get(key), sizes) for key in names}
    if name.startswith("arange"):
        start, step = (found.get("start") or [0])[0], (found.get("step") or [1])[0]
        return abs((found["end"] or [0])[0] - start) / (abs(step) or 1)
    if name.startswith("linspace"):
        return (found["steps"] or [0])[0]
    if name == "eye.default":
        return (found["n"] or [0])[0] ** 2
    return prod(max(0, n) for key in ("size", "n", "m") for n in found.get(key, []))


def _numbers(value: Argument, sizes: Mapping[str, int]) -> list[float]:
    match value:
        case bool():
            return []
        case int() | float():
            return [value]
        case Sym(expression):
            return [evaluate(expression, sizes)]
        case tuple():
            return [number for item in value for number in _numbers(item, sizes)]
        case _:
            return []


def _shown(elements: float) -> str:
    return str(elements) if elements < 10**18 else "more than 10^18"
