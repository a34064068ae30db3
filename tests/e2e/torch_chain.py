"""Cut a torch graph, carry every crossing value as bytes, and compare the chain with the whole, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from partwise.cutting import segment_graph
from partwise.digest import canonical_json
from partwise.frontends.source import Source
from partwise.ir import Contraction, DType, Format, Graph, Part, contract, divide, graph_to_data
from partwise.packaging import Segment
from partwise.packaging.arrays import dense, from_bytes, stride_order
from partwise.runtime.engines import Engine, LoadedSegment, make_engine
from partwise.runtime.sizes import bind_sizes
from partwise.torch_arrays import to_numpy

__all__ = ["Chain", "chain_of", "example", "over_the_wire"]

Values = Mapping[str, np.ndarray]
Sizes = Mapping[str, int]


def over_the_wire(value: np.ndarray) -> np.ndarray:
    """What the receiver of a value holds: the same bytes in the same order, in fresh memory."""
    return from_bytes(dense(value).tobytes(), DType(value.dtype.name), value.shape, stride_order(value))


def example(graph: Graph, inputs: Mapping[str, Any]) -> tuple[Values, Sizes]:
    """A graph's inputs among torch tensors, as a run receives them, and the sizes that they have."""
    given = {name: over_the_wire(to_numpy(inputs[name])) for name in graph.inputs}
    return given, bind_sizes(graph.symbols, given)


def chain_of(source: Source, threads: int = 1) -> Chain:
    """A source, captured and with its weights in memory of our own."""
    graph = source.capture()
    weights = {name: over_the_wire(value) for name, value in source.weights(graph).items()}
    return Chain(graph, weights, make_engine("torch", threads))


@dataclass
class Chain:
    """A graph with its weights, ready to be cut in many ways."""

    graph: Graph
    weights: Values
    engine: Engine

    @cached_property
    def contraction(self) -> Contraction:
        return contract(self.graph)

    @cached_property
    def uncut(self) -> LoadedSegment:
        return self._load(self.graph, "whole")

    def whole(self, inputs: Values, sizes: Sizes) -> dict[str, np.ndarray]:
        """The graph as one segment."""
        made = self.uncut.run({name: inputs[name] for name in self.graph.inputs}, sizes)
        return {output.name: made[output.tensor] for output in self.graph.outputs}

    def chained(self, assignment: Sequence[Sequence[int]], inputs: Values, sizes: Sizes) -> dict[str, np.ndarray]:
        """The graph in the parts of `assignment`, loaded and run once."""
        return self.through(self.loaded(assignment), inputs, sizes)

    def loaded(self, assignment: Sequence[Sequence[int]]) -> list[tuple[Part, LoadedSegment]]:
        """The parts of `assignment`, each as a segment."""
        parts = divide(self.contraction, assignment)
        graphs = [segment_graph(self.graph, part, f"segment_{number}") for number, part in enumerate(parts)]
        return [(part, self._load(graph, graph.name)) for part, graph in zip(parts, graphs, strict=True)]

    def through(
        self, parts: Sequence[tuple[Part, LoadedSegment]], inputs: Values, sizes: Sizes
    ) -> dict[str, np.ndarray]:
        """Run one part after the other, every value between them carried as bytes."""
        values = dict(inputs)
        for part, segment in parts:
            made = segment.run({name: values[name] for name in part.inputs}, sizes)
            values |= {name: over_the_wire(value) for name, value in made.items()}
        return {output.name: values[output.tensor] for output in self.graph.outputs}

    def _load(self, graph: Graph, name: str) -> LoadedSegment:
        data = canonical_json(graph_to_data(graph))
        held = {weight.tensor: self.weights[weight.tensor] for weight in graph.weights}
        return self.engine.load(Segment(name=name, format=Format.TORCH, graph=data, weights=held))
