"""A graph's JSON: the same graph back, the same bytes again, and every hostile variation refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from graphs import chain, diamond, random_graph
from partwise.digest import canonical_json
from partwise.errors import GraphError
from partwise.ir import Graph, graph_digest, graph_from_data, graph_to_data

Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "graph", [chain([4, 5, 6]), diamond(), random_graph(1, 60)], ids=["chain", "diamond", "random"]
)
def test_a_graph_comes_back_as_it_was(graph: Graph) -> None:
    data = graph_to_data(graph)
    assert graph_from_data(data) == graph
    assert canonical_json(graph_to_data(graph_from_data(data))) == canonical_json(data)


def test_the_digest_is_of_the_content() -> None:
    assert graph_digest(chain([4, 5])) == graph_digest(chain([4, 5]))
    assert graph_digest(chain([4, 5])) != graph_digest(chain([4, 6]))


def _set(*path: str | int, to: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        place: Any = data
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("version", to="partwise.graph/0"),
        _set("format", to="pickle"),
        _set("nodes", 0, "args", 0, to={"ref": "nobody"}),
        _set("nodes", 0, "args", 0, to={"call": "os.system"}),
        _set("nodes", 0, "outputs", to=[]),
        _set("nodes", 0, "outputs", to=["input_0"]),
        _set("nodes", 0, "op", to=7),
        _set("tensors", 0, "dtype", to="object"),
        _set("tensors", 0, "shape", to=[-1, 4]),
        _set("tensors", 0, "shape", to=["sequence", 4]),
        _set("tensors", 0, "shape", to=["__import__('os')", 4]),
        _set("tensors", to=[]),
        _set("outputs", 0, "tensor", to="nobody"),
        _set("inputs", to=["input_0", "input_0"]),
        _set("conditions", to=["sequence > 8"]),
        _set("conditions", to=["open('x')"]),
        _set("symbols", to="none"),
        lambda data: data.pop("nodes"),
        lambda data: data["nodes"].reverse(),
        lambda data: data["nodes"].append(data["nodes"][0]),
    ],
)
def test_a_changed_file_is_refused(change: Change) -> None:
    data = json.loads(canonical_json(graph_to_data(chain([4, 5, 6]))))
    change(data)
    with pytest.raises(GraphError):
        graph_from_data(data)


@pytest.mark.parametrize("data", [None, [], "graph", 3, {}, {"version": "partwise.graph/1"}])
def test_what_is_no_graph_is_refused(data: object) -> None:
    with pytest.raises(GraphError, match="not a graph file"):
        graph_from_data(data)
