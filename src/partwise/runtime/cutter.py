"""Segments cut smaller while they run: pieces of a stage that does not fit, or keeps failing, as it is.

The graph and the plan come from the package itself, so a piece is what the cutter would have written for a plan with
one more stage: exact for the same reason as every segment. Pieces exist for the run alone; no file is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from partwise.cutting import encode_part
from partwise.errors import PackageError, PartwiseError, RunError
from partwise.ir import Contraction, Graph, Part, contract, divide
from partwise.packaging import Package, Port
from partwise.planning import plan_from_data
from partwise.runtime.demands import demand_of
from partwise.runtime.piece import PieceFile
from partwise.runtime.route import Piece
from partwise.runtime.schedule import Demand
from partwise.runtime.stage import Weights
from partwise.strict_json import json_value

__all__ = ["Cutter"]


class Cutter:
    """Cuts stages of one package in two, as often as is asked; numbers its pieces after all stages before them."""

    def __init__(self, package: Package, weights: Weights = Weights.RESIDENT) -> None:
        self._package, self._weights = package, weights
        self._nodes: dict[int, tuple[int, ...]] | None = None
        """Placed nodes by stage; divided stages are left out."""
        self.files: dict[int, PieceFile] = {}
        """By stage; stages without one are segments of the package."""
        self.origin: dict[int, int] = {}
        """The segment that a piece is a part of."""

    def cut(self, stage: int) -> tuple[tuple[Piece, ...], tuple[Demand, ...]]:
        """Two pieces in a stage's place, and what each needs of a worker.

        Raises:
            PartwiseError: it cannot be cut; the message says why.
        """
        graph, before = self._graph, self._planned() if self._nodes is None else self._nodes
        first, last = _halves(graph, before[stage], f"stage {stage}")
        number = len(self._package.manifest.segments) + len(self.files)
        after = {n: nodes for n, nodes in before.items() if n != stage} | {number: first, number + 1: last}
        parts = self._parts(after)
        home = {name: n for n, part in parts.items() for name in part.outputs}
        old = self._parts(before)
        if any((parts[n].inputs, parts[n].outputs) != (old[n].inputs, old[n].outputs) for n in before if n != stage):
            raise RunError(f"stage {stage}", "cannot be cut without changing another stage's interface")
        for n in (number, number + 1):
            self.files[n] = self._file(n, parts[n], home)
            self.origin[n] = self.origin.get(stage, stage)
        self._nodes = after
        found = (parts[number], parts[number + 1])
        pieces = tuple(Piece(inputs=part.inputs, outputs=part.outputs) for part in found)
        return pieces, tuple(_demand(graph, part, self._weights) for part in found)

    @cached_property
    def _graph(self) -> Graph:
        graph = self._package.graph()
        if graph is None:
            raise PackageError(str(self._package.path), "came without its graph: no stage of it can be cut smaller")
        return graph

    @cached_property
    def _contraction(self) -> Contraction:
        return contract(self._graph)

    def _planned(self) -> dict[int, tuple[int, ...]]:
        data = json_value(self._package.plan_bytes(), f"plan of {self._package.path}", PackageError)
        plan = plan_from_data(data, self._graph)
        return {number: tuple(stage.nodes) for number, stage in enumerate(plan.stages)}

    def _parts(self, nodes: dict[int, tuple[int, ...]]) -> dict[int, Part]:
        return dict(zip(nodes, divide(self._contraction, list(nodes.values())), strict=True))

    def _file(self, number: int, part: Part, home: dict[str, int]) -> PieceFile:
        graph, given = self._graph, set(self._graph.inputs)

        def port(name: str, source: int | None = None) -> Port:
            spec = graph.spec[name]
            return Port(tensor=name, dtype=spec.dtype, shape=spec.shape, source=source)

        return PieceFile(
            name=f"piece {number} of segment {self.origin.get(number, number)}",
            graph=encode_part(graph, part, f"piece_{number}"),
            inputs=tuple(port(name, None if name in given else home[name]) for name in part.inputs),
            outputs=tuple(port(name) for name in part.outputs),
            weights=tuple(name for name in part.weights if name in graph.held),
        )


def _halves(graph: Graph, nodes: Sequence[int], subject: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two runs of nodes with about the same bytes of weights: never less than a layer, a node with weights and the
    weightless ones after it."""
    held = graph.held
    sizes = [sum(graph.spec[name].bytes(graph.hints) for name in graph.nodes[i].inputs if name in held) for i in nodes]
    starts = [place for place, size in enumerate(sizes) if size and place and any(sizes[:place])]
    if not starts:
        raise RunError(subject, "is one layer already: it cannot be cut any smaller")
    total = sum(sizes)
    best = min(starts, key=lambda place: (abs(total - 2 * sum(sizes[:place])), place))
    return tuple(nodes[:best]), tuple(nodes[best:])


def _demand(graph: Graph, part: Part, when: Weights) -> Demand:
    """Of a piece: its weights and the values at its borders; the planner's peak is not known for it."""
    sizes, weights = graph.hints, [name for name in part.weights if name in graph.held]
    try:
        values = sum(graph.spec[name].bytes(sizes) for name in (*part.inputs, *part.outputs))
    except PartwiseError:  # a size that only the data decide
        values = 0
    return demand_of(
        sum(graph.spec[name].bytes(sizes) for name in weights) + values,
        values,
        when,
        parameters=sum(graph.spec[name].elements(sizes) for name in weights),
        layers=sum(any(name in graph.held for name in graph.nodes[i].inputs) for i in part.placed),
        work=max(1.0, float(len(part.placed))),
    )
