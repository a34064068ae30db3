"""Where the calls of modules begin and end in a captured graph."""

from __future__ import annotations

from collections.abc import Iterable

from partwise.ir import Graph
from partwise.planning.emitting.modules import ancestors

__all__ = ["BEGINNING", "END", "call_ends"]

BEGINNING, END = "BEGINNING", "END"


def call_ends(graph: Graph) -> dict[int, tuple[tuple[str, str], ...]]:
    """For each index before which a call begins or after which one ends: (module, which of the two).

    The outermost modules come first, beginnings before ends. Only modules that are certainly called, and once.
    """
    found: dict[int, list[tuple[str, str]]] = {}
    for module, (first, last) in _called_once(graph).items():
        found.setdefault(first, []).append((module, BEGINNING))
        found.setdefault(last + 1, []).append((module, END))
    return {index: tuple(sorted(found[index], key=lambda end: (end[1], end[0].count(".")))) for index in sorted(found)}


def _called_once(graph: Graph) -> dict[str, tuple[int, int]]:
    """First and last node of each module that is called once, without anything else in between."""
    held: dict[str, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        for module in ancestors(node.module):
            held.setdefault(module, []).append(index)
    del held[""]
    again, children = _read_twice(graph), _children(held)
    direct = {node.module for node in graph.nodes}
    return {
        module: (nodes[0], nodes[-1])
        for module, nodes in held.items()
        if nodes[-1] - nodes[0] == len(nodes) - 1
        and module not in again
        and (module in direct or _is_element(module, children.get(module, ())))
    }


def _is_element(module: str, children: Iterable[str]) -> bool:
    """Whether it is an element of a list and no list itself: lists of modules are not called."""
    return module.rpartition(".")[2].isdigit() and not all(child.isdigit() for child in children)


def _children(modules: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for module in modules:
        parent, _, name = module.rpartition(".")
        found.setdefault(parent, set()).add(name)
    return found


def _read_twice(graph: Graph) -> set[str]:
    """Modules that read one weight in several nodes, and what they are in: they may be called several times."""
    readers: dict[tuple[str, str], int] = {}
    for node in graph.nodes:
        for name in node.inputs:
            if name in graph.held:
                readers[name, node.module] = readers.get((name, node.module), 0) + 1
    return {above for (_, module), count in readers.items() if count > 1 for above in ancestors(module)}
