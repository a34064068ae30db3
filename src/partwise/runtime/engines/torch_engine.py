"""The torch engine: a segment's operators called one by one, eagerly, bit for bit as the source calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.errors import EngineError, InterfaceMismatchError, PartwiseError
from partwise.extras import require
from partwise.freed_memory import freed_memory
from partwise.ir.dims import holds
from partwise.ir.operators.limits import refuse_absurd
from partwise.kernels import register_experts
from partwise.machine import processor
from partwise.packaging import Segment
from partwise.packaging.arrays import own
from partwise.packaging.screen import graph_from_bytes
from partwise.runtime.engines.engine import EngineSettings, LoadedSegment, NodeObserver
from partwise.runtime.engines.failures import engine_failure
from partwise.runtime.engines.torch_devices import find_device
from partwise.runtime.engines.torch_program import TorchProgram
from partwise.torch_arrays import from_numpy, refuse_default_type, to_numpy

__all__ = ["TorchEngine", "refuse_sizes", "torch_graph"]


class TorchEngine:
    """torch, eagerly, on the CPU or another of its devices."""

    def __init__(self, threads: int, device: str = "cpu") -> None:
        torch = require("torch")
        refuse_default_type(torch.get_default_dtype())
        torch.set_num_threads(threads)
        self._device = find_device(device)
        self._settings = EngineSettings(
            engine="torch",
            version=str(torch.__version__),
            device=device,
            threads=threads,
            experts=register_experts(),
            exact=device == "cpu",
            freed_memory=freed_memory(),
            processor=processor(),
        )

    @property
    def settings(self) -> EngineSettings:
        return self._settings

    def load(self, segment: Segment) -> LoadedSegment:
        graph = torch_graph(segment)
        try:
            return TorchSegment(graph, segment.weights, segment.name, self._device)
        except RuntimeError as error:
            raise engine_failure(segment.name, "torch cannot load it", error) from error


class TorchSegment:
    """One segment, ready to run; what it keeps between runs is its state."""

    def __init__(self, graph: ir.Graph, weights: Mapping[str, np.ndarray], name: str, device: Any) -> None:
        self._graph, self._name, self._device = graph, name, device
        self._allowed: dict[str, int] | None = None  # sizes that were checked last: streams seldom change them
        trainable = {weight.tensor for weight in graph.weights if weight.trainable}
        held = {name: from_numpy(own(value)).to(device) for name, value in weights.items()}
        for name in trainable & held.keys():
            # Although nothing is trained: how torch multiplies a tensor with gaps depends on it (matmul's should_fold).
            held[name].requires_grad_(held[name].is_floating_point())
        self._program = TorchProgram(graph, held, device)
        roots, lent = ir.storage_roots(graph), {*graph.inputs, *graph.held}
        self._lent = frozenset(output.tensor for output in graph.outputs if roots[output.tensor] in lent)
        """Results that are memory of the caller or of the engine: who gets them gets a copy."""

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        torch = require("torch")
        if sizes != self._allowed:
            refuse_sizes(self._graph, sizes, self._name)
            self._allowed = dict(sizes)
        values = [from_numpy(own(inputs[name])).to(self._device) for name in self._graph.inputs]
        try:
            with torch.no_grad():
                results = self._program.run(values, sizes, observe)
        except PartwiseError:
            raise
        except (RuntimeError, ValueError, IndexError, TypeError, ArithmeticError) as error:
            raise engine_failure(self._name, "torch failed", error) from error
        names = [output.tensor for output in self._graph.outputs]
        ours = {n: r.clone() if n in self._lent else r for n, r in zip(names, results, strict=True)}
        return {name: to_numpy(result.detach().cpu()) for name, result in ours.items()}


def torch_graph(segment: Segment) -> ir.Graph:
    """A torch segment's graph, screened.

    Raises:
        EngineError: it is of another format.
        PackageError: its file is none.
    """
    if segment.format is not ir.Format.TORCH:
        raise EngineError(segment.name, "is no torch segment", expected=ir.Format.TORCH, got=segment.format,
                          hint="ONNX packages run by onnxruntime and openvino.")  # fmt: skip
    return segment.ir or graph_from_bytes(segment.graph, segment.name)


def refuse_sizes(graph: ir.Graph, sizes: Mapping[str, int], name: str) -> None:
    """Raise where a segment's graph does not hold at these sizes.

    Raises:
        InterfaceMismatchError: its code was captured for other sizes.
        GraphError: a value would be absurdly large.
    """
    for condition in graph.conditions:
        if not holds(condition, sizes):
            got = ", ".join(f"{symbol.name} = {sizes[symbol.name]}" for symbol in graph.symbols)
            raise InterfaceMismatchError(name, "its code was captured for other sizes", expected=condition, got=got,
                                         hint="capture with example inputs of that size.")  # fmt: skip
    refuse_absurd(graph, sizes, name)
