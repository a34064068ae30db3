"""The check of exactness that the ONNX tests share: chain against whole, whole against the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import partwise.ir as ir
from partwise.cutting.onnx import encode_onnx
from partwise.frontends.onnx.model import OnnxModel
from partwise.frontends.source import CaptureOptions
from partwise.ir.dims import evaluate_shape
from partwise.packaging import Segment
from partwise.packaging.arrays import aligned_empty, numpy_dtype
from partwise.runtime.engines import LoadedSegment
from partwise.runtime.engines.onnxruntime_engine import OnnxRuntimeEngine

__all__ = ["Exactness", "example"]

_VOCABULARY = 20  # smaller than every table of the tests' models


def example(graph: ir.Graph, sizes: Mapping[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Seeded inputs: noise, masks of ones, small integers."""
    noise, found = np.random.default_rng(seed), dict[str, np.ndarray]()
    for name in graph.inputs:
        spec = graph.spec[name]
        shape, dtype = evaluate_shape(spec.shape or (), sizes), numpy_dtype(spec.dtype)
        if spec.dtype.is_float:
            found[name] = noise.standard_normal(shape).astype(dtype)
        else:
            found[name] = (np.ones(shape) if "mask" in name else noise.integers(0, _VOCABULARY, shape)).astype(dtype)
    return found


class Exactness:
    """One model, captured at one level, on so many threads."""

    def __init__(self, path: Path, level: str, threads: int) -> None:
        self.source = OnnxModel(path, CaptureOptions(optimize=level))
        self.graph = self.source.capture()
        self.contraction = ir.contract(self.graph)
        self._weights = {name: _aligned(value) for name, value in self.source.weights(self.graph).items()}
        self._engine = OnnxRuntimeEngine(threads)

    def cuts(self, most: int | None = None) -> list[int]:
        """Positions of single cuts: all of them, or so many spread evenly."""
        positions = list(range(1, len(self.contraction.placed)))
        return positions if most is None or len(positions) <= most else positions[:: -(-len(positions) // most)]

    def check(self, sizes: Sequence[Mapping[str, int]], cuts: Sequence[int]) -> float:
        """Assert chain = whole, bit for bit, at every cut and size; the whole's largest relative difference from the
        source is returned."""
        inputs = [example(self.graph, {**self.graph.hints, **given}) for given in sizes]
        wholes = [self.run([self.contraction.placed], given) for given in inputs]
        for cut in cuts:
            segments = self._segments([self.contraction.placed[:cut], self.contraction.placed[cut:]])
            for given, whole in zip(inputs, wholes, strict=True):
                chained = _chain(segments, given)
                wrong = [o.name for o in self.graph.outputs if not _same(chained[o.tensor], whole[o.tensor])]
                assert not wrong, f"cut {cut} of {len(self.contraction.placed)}: {wrong} differ"
        return max((self.difference(given, whole) for given, whole in zip(inputs, wholes, strict=True)), default=0.0)

    def run(self, assignment: Sequence[Sequence[int]], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All values that the parts of an assignment give."""
        return _chain(self._segments(assignment), inputs)

    def difference(self, inputs: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]) -> float:
        """Largest relative difference from the original file's own answer."""
        (answer,) = self.source.answers(self.graph, [inputs])
        return max(_relative(values[output.tensor], answer[output.name]) for output in self.graph.outputs)

    def _segments(self, assignment: Sequence[Sequence[int]]) -> list[tuple[ir.Part, LoadedSegment]]:
        found = list[tuple[ir.Part, LoadedSegment]]()
        for part in ir.divide(self.contraction, assignment):
            weights = {name: self._weights[name] for name in part.weights if name in self.graph.held}
            data = encode_onnx(self.graph, part, "segment")
            segment = Segment(name="segment", format=ir.Format.ONNX, graph=data, weights=weights)
            found.append((part, self._engine.load(segment)))
        return found


def _chain(segments: list[tuple[ir.Part, LoadedSegment]], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    values = dict(inputs)
    for part, segment in segments:
        values.update(segment.run({name: values[name] for name in part.inputs}, {}))
    return values


def _same(got: np.ndarray, expected: np.ndarray) -> bool:
    same_kind = got.dtype == expected.dtype and got.shape == expected.shape
    return same_kind and got.tobytes() == expected.tobytes()


def _relative(got: np.ndarray, expected: np.ndarray) -> float:
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    if _same(got, expected) or got.size == 0:
        return 0.0
    finite = np.isfinite(expected)
    assert np.array_equal(np.isfinite(got), finite)
    wide, mine = expected[finite].astype(np.float64), got[finite].astype(np.float64)
    return float(np.abs(mine - wide).max(initial=0.0) / (np.abs(wide).max(initial=0.0) or 1.0))


def _aligned(array: np.ndarray) -> np.ndarray:
    owned = aligned_empty(array.shape, array.dtype, tuple(range(array.ndim)))
    owned[...] = array
    return owned
