"""ONNX through all six arrows: capture, plan, cut, run, verify."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import onnx_models
import partwise
from partwise.errors import EngineError, StalePlanError
from partwise.packaging import open_package


def _cut(path: Path, out: Path, stages: int = 3, **options: object) -> partwise.Package:
    graph = partwise.capture(str(path), **options)
    return partwise.cut(str(path), partwise.plan(graph, stages=stages), out)


@pytest.mark.parametrize("case", ["conv_net", "transformer", "branches", "sizes_by_data", "half"])
def test_all_six_arrows(case: str, tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.CASES[case](), tmp_path / "m.onnx")
    package = _cut(path, tmp_path / "package", stages=2)
    assert package.manifest.exact
    assert set((package.manifest.difference or {}).values()) == {0.0}
    for sizes in ({"batch": 1}, {"batch": 4}):
        run = partwise.run(package, executor="in-process", sizes=sizes, run_dir=tmp_path / "runs")
        assert partwise.verify(run, against=str(path)).outcome == "accepted"


def test_the_same_cut_writes_nothing_new(tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.conv_net(), tmp_path / "m.onnx")
    first = _cut(path, tmp_path / "package", batch=2, image_size=64)
    manifest = (tmp_path / "package" / "manifest.json").read_bytes()
    again = _cut(path, tmp_path / "package", batch=2, image_size=64)
    assert again.unchanged
    assert not first.unchanged
    assert (tmp_path / "package" / "manifest.json").read_bytes() == manifest


def test_stages_run_as_processes(tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.transformer(), tmp_path / "m.onnx")
    package = _cut(path, tmp_path / "package")
    inputs = {"ids": np.arange(10).reshape(2, 5), "mask": np.ones((2, 5), np.int64)}
    apart = partwise.run(package, inputs, executor="processes", threads=1, run_dir=tmp_path / "runs")
    together = partwise.run(package, inputs, executor="in-process", threads=1, run_dir=tmp_path / "runs")
    assert {k: v.tobytes() for k, v in apart.outputs.items()} == {k: v.tobytes() for k, v in together.outputs.items()}


def test_nodes_are_traced(tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.conv_net(), tmp_path / "m.onnx")
    package = _cut(path, tmp_path / "package", image_size=32)
    trace = tmp_path / "trace.json"
    partwise.run(package, executor="in-process", trace=trace, trace_nodes=True, run_dir=tmp_path / "runs")
    text = trace.read_text()
    graph = package.graph()
    assert graph is not None
    assert all(node.name in text for node in graph.nodes)


def test_a_layout_of_another_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = onnx_models.save(onnx_models.conv_net(), tmp_path / "m.onnx")
    _cut(path, tmp_path / "all", image_size=32)
    _cut(path, tmp_path / "extended", image_size=32, optimize="extended")
    plan = partwise.plan(partwise.capture(str(path)), stages=2)
    monkeypatch.setattr("partwise.runtime.engines.onnxruntime_engine.machine_kind", lambda: "abacus")
    monkeypatch.setattr("partwise.frontends.onnx.model.machine_kind", lambda: "abacus")
    with pytest.raises(EngineError, match=r"abacus.*--optimize extended"):
        partwise.run(open_package(tmp_path / "all"), executor="in-process", run_dir=tmp_path / "runs")
    partwise.run(open_package(tmp_path / "extended"), executor="in-process", run_dir=tmp_path / "runs")
    with pytest.raises(StalePlanError, match=r"machine.*--optimize extended"):
        partwise.cut(str(path), plan, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_weight_of_two_stages_is_one_blob(tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.shared(), tmp_path / "m.onnx")
    package = _cut(path, tmp_path / "package", stages=4, optimize="off")
    homes = [number for number, s in enumerate(package.manifest.segments) for w in s.weights if w.tensor == "table"]
    assert len(homes) == 2
    assert len({w.blob.digest for s in package.manifest.segments for w in s.weights if w.tensor == "table"}) == 1
