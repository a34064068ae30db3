"""The whole pipeline on three nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import partwise


def test_model_to_verdict_on_three_nodes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).eval()
    example = torch.randn(2, 4)

    graph = partwise.capture(model, (example,))
    assert [node.op for node in graph.nodes] == ["aten.linear.default", "aten.relu.default", "aten.linear.default"]

    profile = partwise.profile(graph)
    assert (profile.macs, profile.parameters) == (2 * (4 * 8 + 8 * 2), 4 * 8 + 8 + 8 * 2 + 2)

    plan = partwise.plan(graph, stages=3)
    assert [len(stage.nodes) for stage in plan.stages] == [1, 1, 1]
    assert plan.value >= plan.bound

    package = partwise.cut(model, plan, tmp_path / "package")
    assert package.manifest.exact is True
    assert len(package.manifest.segments) == 3

    inputs = {"input": np.random.default_rng(0).standard_normal((5, 4), dtype=np.float32)}
    run = partwise.run(package, inputs)
    expected = model(torch.from_numpy(inputs["input"])).detach().numpy()
    assert run.outputs["output"].tobytes() == expected.tobytes()

    verdict = partwise.verify(run, against=model)
    assert verdict.outcome == "accepted"
