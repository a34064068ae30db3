"""The null engine: computes nothing, needs nothing, and answers at once with values of the right kind and shape.

It tests everything around an engine without a framework. An output's bytes follow from its name and from all bytes
of the inputs, so a value that was lost, mixed up or damaged on its way changes what comes out at the end. They are
no result of the model: a chain is not equal to the whole here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping

import numpy as np

from partwise.errors import EngineError
from partwise.freed_memory import freed_memory
from partwise.ir import Graph
from partwise.ir.dims import evaluate_shape
from partwise.machine import processor
from partwise.packaging import Segment
from partwise.packaging.arrays import numpy_dtype, tensor_digest
from partwise.runtime.engines.engine import EngineSettings, LoadedSegment, NodeObserver

__all__ = ["NullEngine"]


class NullEngine:
    """No engine at all."""

    def __init__(self, threads: int, device: str = "cpu") -> None:
        del device  # any will do
        self._settings = EngineSettings(
            engine="null",
            version="1",
            device="none",
            threads=threads,
            precision="none",
            exact=None,
            freed_memory=freed_memory(),
            processor=processor(),
        )

    @property
    def settings(self) -> EngineSettings:
        return self._settings

    def load(self, segment: Segment) -> LoadedSegment:
        if segment.ir is None:
            raise EngineError(segment.name, "the null engine reads the IR alone")
        return _NullSegment(segment.ir)


class _NullSegment:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        if observe is not None:
            now = time.monotonic()
            for node in self._graph.nodes:
                observe(node.name, now, now)
        seen = "".join(tensor_digest(inputs[name]) for name in sorted(inputs))
        return {output.tensor: self._value(output.tensor, seen, sizes) for output in self._graph.outputs}

    def _value(self, tensor: str, seen: str, sizes: Mapping[str, int]) -> np.ndarray:
        spec = self._graph.spec[tensor]
        seed = int.from_bytes(hashlib.sha256(f"{tensor} {seen}".encode()).digest()[:8])
        shape = evaluate_shape(spec.shape or (), sizes)
        return np.random.default_rng(seed).integers(0, 100, shape).astype(numpy_dtype(spec.dtype))
