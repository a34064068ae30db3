"""Cut a torch graph, carry every crossing value as bytes, and compare the chain with the whole, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from partwise.cutting import segment_graph
from partwise.digest import canonical_json
from partwise.ir import Contraction, Format, Graph, contract, divide, graph_to_data
from partwise.packaging import Segment
from partwise.packaging.arrays import dense, from_bytes, stride_order
from partwise.runtime.engines import LoadedSegment
from partwise.runtime.engines.torch_engine import TorchEngine

__all__ = ["Chain", "over_the_wire"]

Values = Mapping[str, np.ndarray]


def over_the_wire(value: np.ndarray) -> np.ndarray:
    """What the receiver of a value holds: the same bytes in the same order, in fresh memory."""
    from partwise.ir import DType

    order = stride_order(value)
    return from_bytes(dense(value).tobytes(), DType(value.dtype.name), value.shape, order)


@dataclass
class Chain:
    """A graph with its weights, ready to be cut in many ways."""

    graph: Graph
    weights: Values
    engine: TorchEngine

    @cached_property
    def contraction(self) -> Contraction:
        return contract(self.graph)

    @cached_property
    def owned(self) -> Values:
        return {name: over_the_wire(value) for name, value in self.weights.items()}

    @cached_property
    def uncut(self) -> LoadedSegment:
        return self._load(self.graph, "whole")

    def whole(self, inputs: Values, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
        """The graph as one segment."""
        return self._run(self.uncut, self.graph, inputs, sizes)

    def chained(
        self, assignment: Sequence[Sequence[int]], inputs: Values, sizes: Mapping[str, int]
    ) -> dict[str, np.ndarray]:
        """The graph in the parts of `assignment`, every value between them carried as bytes."""
        values = dict(inputs)
        for number, part in enumerate(divide(self.contraction, assignment)):
            graph = segment_graph(self.graph, part, f"segment_{number}")
            segment = self._load(graph, graph.name)
            made = segment.run({n: values[n] for n in part.inputs}, sizes)
            values |= {name: over_the_wire(value) for name, value in made.items()}
        return {output.name: values[output.tensor] for output in self.graph.outputs}

    def _load(self, graph: Graph, name: str) -> LoadedSegment:
        data = canonical_json(graph_to_data(graph))
        held = {weight.tensor: self.owned[weight.tensor] for weight in graph.weights}
        return self.engine.load(Segment(name=name, format=Format.TORCH, graph=data, weights=held))

    @staticmethod
    def _run(segment: LoadedSegment, graph: Graph, inputs: Values, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
        made = segment.run({name: inputs[name] for name in graph.inputs}, sizes)
        return {output.name: made[output.tensor] for output in graph.outputs}
