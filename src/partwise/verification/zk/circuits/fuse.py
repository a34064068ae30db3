"""A written-out Gelu found again: x · (1 + erf(x / √2)) / 2 as exporters write it, in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from numpy.typing import NDArray

__all__ = ["fuse_gelu"]

_TOLERANCE = 1e-4
"""Relative, of the constants: exporters write them as float32 or with few digits."""


def fuse_gelu(graph: Any, constants: dict[str, NDArray[Any]]) -> None:
    """Each written-out Gelu becomes one node.

    Args:
        graph: an ONNX graph; changed in place.
        constants: its constants by name.
    """
    search = _Search(graph, constants)
    for erf in [node for node in graph.node if node.op_type == "Erf"]:
        if (found := search.around(erf)) is not None:
            found.last.op_type = "Gelu"
            del found.last.input[:], found.last.attribute[:]
            found.last.input.append(found.source)
            kept = [_copy(node) for node in graph.node if node.output[0] not in found.gone]
            del graph.node[:]
            graph.node.extend(kept)


@dataclass(slots=True)
class _Found:
    source: str
    """What it reads: x."""
    last: Any
    gone: set[str] = field(default_factory=set[str])
    """Values that are no longer made."""
    is_halved: bool = False
    is_multiplied: bool = False
    """Whether x has been seen as a factor."""


class _Search:
    def __init__(self, graph: Any, constants: dict[str, NDArray[Any]]) -> None:
        self._graph, self._constants = graph, constants
        self._returned = {output.name for output in graph.output}

    def around(self, erf: Any) -> _Found | None:
        """The Gelu that an Erf is part of; None where it is part of none."""
        scaled = self._maker(erf.input[0])
        if scaled is None or not self._divides(scaled, sqrt(2)) or not self._is_read_once(scaled.output[0]):
            return None
        raised = self._reader(erf.output[0])
        if raised is None or raised.op_type != "Add" or self._number(raised) != 1:
            return None
        source = next(name for name in scaled.input if name not in self._constants)
        found = _Found(source, raised, {scaled.output[0], erf.output[0]})
        while not (found.is_halved and found.is_multiplied):
            if not self._takes_factor(found):
                return None
        return found

    def _takes_factor(self, found: _Found) -> bool:
        """The next node multiplies by ½, by x or by x / 2."""
        value = found.last.output[0]
        node = self._reader(value)
        if node is None:
            return False
        found.gone.add(value)
        found.last = node
        if not found.is_halved and self._divides(node, 2):
            found.is_halved = True
            return True
        others = [name for name in node.input if name != value] if node.op_type == "Mul" else []
        if found.is_multiplied or len(others) != 1:
            return False
        found.is_multiplied = True
        if others[0] == found.source:
            return True
        half = self._maker(others[0])
        is_half = half is not None and found.source in half.input and self._divides(half, 2)
        if not is_half or found.is_halved or not self._is_read_once(others[0]):
            return False
        found.gone.add(others[0])
        found.is_halved = True
        return True

    def _divides(self, node: Any, by: float) -> bool:
        """Whether a node divides by a number, or multiplies by its inverse."""
        number = self._number(node)
        if node.op_type == "Div" and node.input[0] not in self._constants and number:
            return abs(number - by) < _TOLERANCE * by
        return node.op_type == "Mul" and bool(number) and abs(1 / (number or 1) - by) < _TOLERANCE * by

    def _number(self, node: Any) -> float | None:
        held = [self._constants[name] for name in node.input if name in self._constants]
        return float(held[0].reshape(-1)[0]) if len(held) == 1 and held[0].size == 1 else None

    def _maker(self, name: str) -> Any | None:
        return next((node for node in self._graph.node if name in node.output), None)

    def _reader(self, name: str) -> Any | None:
        """The only node that reads a value."""
        return next(n for n in self._graph.node if name in n.input) if self._is_read_once(name) else None

    def _is_read_once(self, name: str) -> bool:
        readers = sum(list(node.input).count(name) for node in self._graph.node)
        return readers == 1 and name not in self._returned


def _copy(node: Any) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    return copy
