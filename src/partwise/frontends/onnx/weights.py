"""The weights of an optimized model, read one at a time from the file beside its graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.frontends.onnx.attributes import tensor_data
from partwise.frontends.onnx.optimize import Optimized
from partwise.packaging.arrays import numpy_dtype

__all__ = ["Weights"]


class Weights(Mapping[str, np.ndarray]):
    """Weight by tensor name; nothing is read before it is asked for, and nothing is kept."""

    def __init__(self, graph: ir.Graph, optimized: Optimized) -> None:
        self._graph, self._optimized = graph, optimized
        self._tensors = {tensor.name: tensor for tensor in optimized.model.graph.initializer}

    def __getitem__(self, name: str) -> np.ndarray:
        spec = self._graph.spec[self._graph.held[name].tensor]
        shape = tuple(int(size) for size in spec.shape or ())
        return _array(self._tensors[name], numpy_dtype(spec.dtype), shape, str(self._optimized.folder))

    def __iter__(self) -> Iterator[str]:
        return iter(self._graph.held)

    def __len__(self) -> int:
        return len(self._graph.held)


def _array(tensor: Any, dtype: np.dtype[np.generic], shape: tuple[int, ...], folder: str) -> np.ndarray:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if tensor.data_location == 1 and "location" in entries:
        path, offset = f"{folder}/{entries['location']}", int(entries.get("offset", 0))
        return (
            np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
            if 0 not in shape
            else np.empty(shape, dtype)
        )
    return np.frombuffer(tensor_data(tensor), dtype=dtype).reshape(shape)
