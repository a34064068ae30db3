"""What every frontend gives: a model that can be captured, asked for its weights, and run as its makers meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from partwise.ir import Graph

__all__ = ["CaptureOptions", "Source", "as_captured", "with_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOptions:
    """How to capture. None leaves the choice to the frontend."""

    example_inputs: Any = None
    """A tuple of positional or a dict of keyword arguments; made by the frontend where it can."""
    batch: int | None = None
    sequence: int | None = None
    image_size: int | None = None
    dtype: str | None = None
    """Type of the weights; by default the one that the model's config states."""
    inputs: str | None = None
    """`example_inputs` without their values, as a graph's settings hold them: `input_ids=int64[2,16] ...`."""
    task: str | None = None
    """Hugging Face: the class to build (`BertForMaskedLM`); by default the one that the config names."""
    static: bool = False
    """Fix every size."""
    cache: int | None = None
    """Tokens of a sequence that preallocated K/V have room for: a language model's graph then takes and gives them."""
    weights: bool = True
    """False: the weights' values are never read."""
    optimize: str | None = None
    """ONNX: level of the engine's optimizer, `off`, `basic`, `extended` or `all`."""
    config: str | None = None
    """Hugging Face config (file or folder) for a file that holds weights alone."""
    module: str | None = None
    """`package.module:function` that builds the module for a file that holds weights alone."""


def as_captured(graph: Graph, options: CaptureOptions | None = None) -> CaptureOptions:
    """Options that capture again what a graph was captured from.

    Args:
        graph: its settings hold the sizes, dtype and class; what it does not hold (example inputs, the config
            beside a file of weights) stays as it is in `options`.
        options: where to start.
    """
    names = {field.name for field in fields(CaptureOptions)}
    kept: dict[str, Any] = {name: value for name, value in graph.settings if name in names}
    return replace(options or CaptureOptions(), **kept)


def with_settings(graph: Graph, **settings: str | int | float | bool | None) -> Graph:
    """A graph that also tells these settings of its capture."""
    return replace(graph, settings=tuple(sorted({**dict(graph.settings), **settings}.items())))


@runtime_checkable
class Source(Protocol):
    """A model, whatever it came as."""

    def capture(self) -> Graph:
        """Its graph. The same source and options give the same graph, byte for byte."""
        ...

    def weights(self, graph: Graph) -> Mapping[str, np.ndarray]:
        """The graph's weights by tensor name, strides kept.

        Raises:
            StalePlanError: the model lacks one, or has it in another shape or type.
        """
        ...

    def answers(self, graph: Graph, requests: Iterable[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """The model's own outputs for a stream of requests, by the graph's names: what a chain is judged against.

        What the model keeps from one request to the next starts as the model has it, and is put back after the last:
        the same stream gives the same answers again. The requests' values are never written to.

        Args:
            graph: its graph, or one of the same names.
            requests: inputs by name, one request after the other.
        """
        ...
