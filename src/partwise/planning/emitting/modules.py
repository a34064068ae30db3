"""The tree of modules that a captured graph remembers: paths of its nodes and of its weights' owners."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from partwise.errors import InputError
from partwise.ir import Contraction, Graph, Kind, operator

__all__ = ["ancestors", "as_json", "intervals", "is_within", "layer_list", "owners"]

_ELEMENT = re.compile(r"((?:[^.]+\.)*?[^.]+)\.(\d+)(?:\.|\Z)")
"""A path through an element of the outermost list of modules: (the list, the number)."""


def ancestors(path: str) -> Iterator[str]:
    """The paths that lead to a module, the model itself ("") first, the module last."""
    yield ""
    parts = path.split(".") if path else []
    yield from (".".join(parts[: length + 1]) for length in range(len(parts)))


def is_within(path: str, module: str) -> bool:
    """Whether a path is that of a module or of something in it."""
    return module == "" or path == module or path.startswith(module + ".")


def owners(graph: Graph) -> dict[str, str]:
    """For each weight's tensor the module that holds it."""
    return {weight.tensor: weight.key.rpartition(".")[0] for weight in graph.weights}


def intervals(contraction: Contraction, starts: Sequence[int]) -> list[tuple[int, ...]]:
    """Placed nodes between positions of the graph's order; empty where there are none.

    Args:
        starts: ascending indices of nodes, the first one 0.
    """
    ends = [*starts[1:], len(contraction.graph.nodes)]
    found: list[list[int]] = [[] for _ in starts]
    number = 0
    for node in contraction.placed:
        while node >= ends[number]:
            number += 1
        found[number].append(node)
    return [tuple(nodes) for nodes in found]


def layer_list(graph: Graph, target: str) -> tuple[str, list[int]]:
    """The one list of layers of a language model, and the index of each layer's first node.

    Raises:
        InputError: there is none, or several, as in an encoder–decoder; or the model reads no tokens.
    """
    first: dict[str, dict[int, int]] = {}
    for index, node in enumerate(graph.nodes):
        if match := _ELEMENT.match(node.module):
            first.setdefault(match[1], {}).setdefault(int(match[2]), index)
    found = {name: starts for name, starts in first.items() if len(starts) > 1 or len(first) == 1}
    names = ", ".join(f"`{name}`" for name in found) or "none"
    if len(found) != 1 or not any(operator(node.op).kind is Kind.EMBEDDING for node in graph.nodes):
        raise InputError(
            f"--emit {target}", "counts the layers of a language model", expected="one list of layers", got=names
        )
    (starts,) = found.values()
    order = [starts[number] for number in sorted(starts)]
    if order != sorted(order):
        raise InputError(f"--emit {target}", f"the layers of {names} do not run in their order")
    return next(iter(found)), order


def as_json(data: object) -> str:
    """Plain data as people read JSON, keys in their order."""
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
