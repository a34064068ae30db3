"""Divide a graph: from "which stage is each placed node in" to what each part holds, receives and gives.

The planner prices these parts and the cutter writes them, so what was planned is what runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from partwise.ir.contraction import Contraction
from partwise.ir.graph import Graph

__all__ = ["Part", "divide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One stage's share of a graph."""

    placed: tuple[int, ...]
    """Nodes that are this part's own."""
    nodes: tuple[int, ...]
    """Everything it executes, repeated nodes included, in the graph's order."""
    weights: tuple[str, ...]
    """Weights and constants it reads, and buffers that it writes."""
    inputs: tuple[str, ...]
    """Tensors it receives: inputs of the model and outputs of earlier parts."""
    sent: tuple[str, ...]
    """Outputs of its placed nodes that later parts receive."""
    returned: tuple[str, ...]
    """Tensors that the model returns, or keeps as state, from here."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Everything it gives away, each tensor once."""
        return tuple(dict.fromkeys((*self.sent, *self.returned)))


def divide(contraction: Contraction, assignment: Sequence[Sequence[int]]) -> tuple[Part, ...]:
    """The parts of a graph, in the order of `assignment`.

    Args:
        contraction: the graph seen through its placed nodes.
        assignment: for each stage the indices of its placed nodes; together every placed node once.
    """
    graph = contraction.graph
    home = {name: s for s, nodes in enumerate(assignment) for i in nodes for name in graph.nodes[i].outputs}
    returned = _returned(contraction, home, len(assignment))
    closures = [
        contraction.needs([*(name for i in nodes for name in graph.reads[i]), *returned[s]])
        for s, nodes in enumerate(assignment)
    ]
    inputs = [tuple(sorted(n for n in c.received if home.get(n) != s)) for s, c in enumerate(closures)]
    wanted = {name for names in inputs for name in names}
    return tuple(
        Part(
            placed=tuple(sorted(nodes)),
            nodes=tuple(sorted({*nodes, *closures[s].repeated})),
            weights=tuple(sorted(closures[s].weights | _states(graph, returned[s]))),
            inputs=inputs[s],
            sent=tuple(name for i in sorted(nodes) for name in graph.nodes[i].outputs if name in wanted),
            returned=returned[s],
        )
        for s, nodes in enumerate(assignment)
    )


def _states(graph: Graph, returned: Sequence[str]) -> frozenset[str]:
    """Buffers that keep one of these tensors as their new value; nothing need read them."""
    return frozenset(m.target for m in graph.mutations if m.tensor in returned and m.target in graph.held)


def _returned(contraction: Contraction, home: dict[str, int], stages: int) -> list[tuple[str, ...]]:
    """For each stage the model's results that it computes: where the last value they need is made."""
    graph = contraction.graph
    found: list[list[str]] = [[] for _ in range(stages)]
    for tensor in dict.fromkeys(graph.ends):
        homes = [home[name] for name in contraction.of(tensor).received if name in home]
        found[max(homes, default=stages - 1)].append(tensor)
    return [tuple(names) for names in found]
