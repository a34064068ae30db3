"""`.pt2` archives: the program as torch runs it, its sizes, its results' names, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from partwise.errors import ModelError, StalePlanError, UnsupportedOpError
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions
from partwise.ir import Mutation, check_graph, graph_digest

_AUTO = torch.export.Dim.AUTO
pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own


class _Mixed(torch.nn.Module):
    """Several outputs a node, tied weights, views of one storage, a literal, infinities, named results."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.norm = torch.nn.BatchNorm2d(4)
        self.dense = torch.nn.Linear(4, 5)
        self.tied = self.dense
        shared = torch.arange(12.0)
        self.register_buffer("part", shared[2:7])
        self.register_buffer("turned", shared.view(3, 4).t(), persistent=False)

    def forward(self, x: torch.Tensor, scale: float = 2.0) -> dict[str, Any]:
        y = self.norm(self.conv(x)).mean((2, 3))
        left, right = self.dense(y).split([2, 3], 1)
        best = torch.max(right, dim=1).values
        masked = torch.where(left > 0, left, float("-inf"))
        return {"a": left * scale + torch.tensor([1.0, 2.0]), "b": (best, self.tied(y) + self.part, None), "c": masked}


class _Sizes(torch.nn.Module):
    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        half = torch.cat([x, x], 1)[:, : x.shape[1]]
        places = torch.arange(x.shape[1] // 2 + 1).clamp(max=1)
        return torch.where(mask, half, 0).view(x.shape[0] * x.shape[1])[places]


class _Counter(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count.add_(1)
        return x + self.count


def test_it_is_what_torch_runs(tmp_path: Path) -> None:
    module = _Mixed().eval()
    x = torch.randn(3, 3, 8, 8)
    path = _save(module, (x,), tmp_path, dynamic_shapes=({0: _AUTO},))
    source = open_model(path)
    graph = source.capture()
    check_graph(graph)
    assert [output.name for output in graph.outputs] == ["a", "b_0", "b_1", "c"]
    assert graph.hints == {"batch": 3}
    assert "tied.weight" not in {weight.key for weight in graph.weights}
    weights = source.weights(graph)
    assert weights["conv.weight"].strides == tuple(4 * stride for stride in module.conv.weight.stride())
    assert np.array_equal(weights["part"], np.arange(2.0, 7.0))
    other = torch.randn(5, 3, 8, 8)
    with torch.no_grad():
        expected = [v for v in torch.utils._pytree.tree_leaves(module(other)) if v is not None]
    (answer,) = source.answers(graph, [{"x": other.numpy()}])
    assert all(np.array_equal(a, e.numpy()) for a, e in zip(answer.values(), expected, strict=True))


def test_sizes_share_their_symbols_and_stay_expressions(tmp_path: Path) -> None:
    shapes = ({0: _AUTO, 1: _AUTO}, {0: _AUTO, 1: _AUTO})
    path = _save(_Sizes(), (torch.arange(12).view(2, 6), torch.ones(2, 6, dtype=torch.bool)), tmp_path, shapes)
    source = open_model(path)
    graph = source.capture()
    assert graph.hints == {"batch": 2, "sequence": 6}
    ids, mask = np.arange(30).reshape(3, 10), np.ones((3, 10), dtype=bool)
    with torch.no_grad():
        expected = _Sizes()(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    assert np.array_equal(source.answers(graph, [{"x": ids, "mask": mask}])[0]["output"], expected)


def test_state_and_settings(tmp_path: Path) -> None:
    graph = open_model(_save(_Counter(), (torch.zeros(2),), tmp_path)).capture()
    assert [mutation.target for mutation in graph.mutations] == ["count"]
    assert isinstance(graph.mutations[0], Mutation)
    assert dict(graph.settings)["source"] == "pt2"


def test_the_same_archive_gives_the_same_graph(tmp_path: Path) -> None:
    path = _save(_Counter(), (torch.zeros(2),), tmp_path)
    assert graph_digest(open_model(path).capture()) == graph_digest(open_model(path).capture())


def test_weights_must_be_those_of_the_graph(tmp_path: Path) -> None:
    path = _save(_Counter(), (torch.zeros(2),), tmp_path)
    other = _save(_Mixed().eval(), (torch.zeros(2, 3, 8, 8),), tmp_path / "other")
    graph = open_model(other).capture()
    with pytest.raises(StalePlanError, match="differs"):
        open_model(path).weights(graph)
    with pytest.raises(ModelError, match="--no-weights"):
        open_model(other, CaptureOptions(weights=False)).weights(graph)


def test_a_program_that_writes_in_place_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "raw.pt2"
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(inplace=True)).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(2, 2),), strict=False), path)
    with pytest.raises(UnsupportedOpError, match=r"relu_.*writes in place.*run_decompositions"):
        open_model(path).capture()


def _save(module: torch.nn.Module, inputs: tuple[Any, ...], folder: Path, dynamic_shapes: Any = None) -> Path:
    folder.mkdir(exist_ok=True)
    program = torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes, strict=False)
    torch.export.save(program.run_decompositions({}), folder / "model.pt2")
    return folder / "model.pt2"
