"""A saved graph as a source: `partwise plan graph.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np

from partwise.errors import ModelError
from partwise.frontends.source import CaptureOptions
from partwise.ir import Graph, graph_from_data
from partwise.strict_json import json_object

__all__ = ["SavedGraph", "open_saved"]


def open_saved(path: str, options: CaptureOptions) -> SavedGraph:
    """A graph that `partwise capture -o` wrote; the options of a capture no longer apply to it.

    Raises:
        ModelError: when it is captured with a cache and the graph has none.
    """
    return SavedGraph(Path(path), needs_cache=options.cache is not None)


class SavedGraph:
    """A graph without its model: it can be profiled and planned, not cut."""

    def __init__(self, path: Path, *, needs_cache: bool = False) -> None:
        self._path, self._needs_cache = path, needs_cache

    def capture(self) -> Graph:
        """The graph in the file.

        Raises:
            ModelError: the file is no JSON, or holds no graph with a cache where one is asked for.
            GraphError: another version, or a broken invariant.
        """
        data = json_object(self._path, expected="a graph saved by `partwise capture -o`", error=ModelError)
        graph = graph_from_data(data, str(self._path))
        if self._needs_cache and not graph.writes:
            raise ModelError(str(self._path), "was captured without a cache",
                             hint="capture the model itself: partwise capture MODEL --cache CAPACITY.")  # fmt: skip
        return graph

    def weights(self, graph: Graph) -> Mapping[str, np.ndarray]:
        """Never: the file holds none."""
        del graph
        self._refuse("weights")

    def answers(self, graph: Graph, requests: Iterable[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """Never: the file holds no model."""
        del graph, requests
        self._refuse("model to run")

    def _refuse(self, what: str) -> NoReturn:
        hint = "pass the model itself: partwise cut MODEL plan.json."
        raise ModelError(str(self._path), f"is a saved graph and holds no {what}", hint=hint)
