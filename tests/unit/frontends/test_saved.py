"""A saved graph is a source for planning, and says so when asked for more."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphs
from command import saved
from partwise.errors import GraphError, ModelError
from partwise.frontends.open import open_model
from partwise.frontends.saved import SavedGraph


def test_the_graph_comes_back(tmp_path: Path) -> None:
    graph = graphs.chain([4, 3, 2])
    path = saved(graph, tmp_path / "graph.json")
    source = open_model(path)
    assert source.capture() == graph
    with pytest.raises(ModelError, match="holds no weights"):
        source.weights(graph)
    with pytest.raises(ModelError, match="holds no model to run"):
        source.answers(graph, [{}])


@pytest.mark.parametrize(("text", "error"), [("{", ModelError), ("\xff", ModelError), ('{"version": 1}', GraphError)])
def test_files_that_are_no_graph(text: str, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(error):
        SavedGraph(path).capture()
