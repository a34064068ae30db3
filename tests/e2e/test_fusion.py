"""Fusion on real networks: the source document's figures, and what is left of a transformer's traffic."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from partwise.frontends.torch.capture import capture_module  # noqa: E402
from partwise.ir import Graph  # noqa: E402
from partwise.profiling import Rules, fuse, profile  # noqa: E402
from vision_models import mobilenet_v2, resnet18, vit_b16  # noqa: E402

BLOCKS = 12


def capture(module: Any, batch: int = 1) -> Graph:
    return capture_module(module, {"x": torch.zeros(batch, 3, 224, 224)}, static=True)


def modules(graph: Graph) -> int:
    """Nodes that are a module's own work: the source counts calls of modules, and not those of functions."""
    paths = {node.module for node in graph.nodes}
    inner = {path[:end] for path in paths for end in range(len(path)) if path[end] == "."} | {""}
    return sum(node.module not in inner for node in graph.nodes)


@pytest.mark.parametrize(
    ("build", "operators", "units", "unfused", "fused", "saved"),
    [
        pytest.param(resnet18, 60, 32, 97.75, 78.58, 0.196, id="resnet18"),
        pytest.param(mobilenet_v2, 141, 66, None, None, 0.420, id="mobilenet_v2"),
    ],
)
def test_the_figures_of_the_source(
    build: Any, operators: int, units: int, unfused: float | None, fused: float | None, saved: float
) -> None:
    graph = capture(build())
    found = fuse(graph, profile(graph), rules=Rules.SOURCE)
    assert (modules(graph), len(found.units)) == (operators, units)
    assert round(found.saved, 3) == saved
    if unfused is not None:
        assert (round(found.unfused_bytes / 1e6, 2), round(found.traffic_bytes / 1e6, 2)) == (unfused, fused)


def test_megabytes_that_the_source_saves_in_mobilenet() -> None:
    graph = capture(mobilenet_v2())
    found = fuse(graph, profile(graph), rules=Rules.SOURCE)
    assert round((found.unfused_bytes - found.traffic_bytes) / 1e6, 1) == 51.1


@pytest.mark.parametrize("batch", [1, 8])
def test_a_transformer_of_primitive_operations(batch: int) -> None:
    graph = capture(vit_b16(), batch)
    found = fuse(graph, profile(graph))
    blocks = [{graph.nodes[index].module.split(".")[1] for index in unit.nodes} for unit in found.units
              if all(graph.nodes[index].module.startswith("blocks.") for index in unit.nodes)]  # fmt: skip
    a_block = [sum(str(number) in block for block in blocks) for number in range(BLOCKS)]
    assert max(a_block) <= 8
    assert found.activation_saved >= 0.55
    assert found.gap == 0
    assert found.traffic_bytes < fuse(graph, profile(graph), rules=Rules.PATTERNS).traffic_bytes


def test_attention_is_one_unit() -> None:
    graph = capture(vit_b16())
    for rules in (Rules.PATTERNS, Rules.OPTIMAL):
        units = fuse(graph, profile(graph), rules=rules).units
        names = [[graph.nodes[index].op for index in unit.nodes] for unit in units]
        assert sum(ops.count("aten.matmul.default") == 2 and "aten.softmax.int" in ops for ops in names) == BLOCKS
