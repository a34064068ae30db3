"""A `.pt2` as a source: its graph, its weights, and its program run operator by operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

import partwise.ir as ir
from partwise.errors import ModelError, StalePlanError
from partwise.frontends.pt2.archive import Archive, Tensors, open_archive
from partwise.frontends.pt2.convert import convert
from partwise.frontends.pt2.evaluate import evaluate
from partwise.frontends.source import CaptureOptions

__all__ = ["Pt2Model", "open_pt2"]


def open_pt2(path: str, options: CaptureOptions) -> Pt2Model:
    """An archive of torch.export; its sizes and types were chosen when it was exported."""
    return Pt2Model(open_archive(Path(path)), options)


class Pt2Model:
    """An exported program with its tensors."""

    def __init__(self, archive: Archive, options: CaptureOptions) -> None:
        self._archive, self._options = archive, options

    def capture(self) -> ir.Graph:
        """The graph of the archive's program."""
        return convert(self._archive, self._archive.path.stem)

    def weights(self, graph: ir.Graph) -> Mapping[str, np.ndarray]:
        """The graph's weights over the mapped file, strides kept.

        Raises:
            StalePlanError: the archive lacks one, or has it in another shape or type.
        """
        if not self._options.weights:
            hint = "leave --no-weights out."
            raise ModelError(str(self._archive.path), "weights are switched off (--no-weights)", hint=hint)
        held = self._archive.tensors
        for weight in graph.weights:
            spec, tensor = graph.spec[weight.tensor], held.get(weight.key)
            if tensor is None or (tensor.dtype, tensor.shape) != (spec.dtype, spec.shape):
                got = None if tensor is None else (tensor.dtype.value, tensor.shape)
                expected = (spec.dtype.value, spec.shape)
                raise StalePlanError(f"weight `{weight.key}`", "differs", expected=expected, got=got or "none")
        return Tensors(self._archive.path, {weight.tensor: held[weight.key] for weight in graph.weights})

    def answers(self, graph: ir.Graph, requests: Iterable[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """What the program gives, run as it stands in the archive; its state is carried on between requests."""
        return evaluate(self.capture(), self.weights(graph), requests)
