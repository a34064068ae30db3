"""An ONNX file as a source: the same graph every time, its weights, and plans that no longer fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import onnx_models
import partwise.ir as ir
from partwise.errors import InputError, StalePlanError
from partwise.extras import require
from partwise.frontends.onnx.model import OnnxModel
from partwise.frontends.source import CaptureOptions
from partwise.machine import machine_kind
from partwise.profiling import profile

_LEVELS = ("off", "basic", "extended", "all")


def _capture(path: Path, **options: object) -> ir.Graph:
    graph = OnnxModel(path, CaptureOptions(**options)).capture()  # type: ignore[arg-type]
    ir.check_graph(graph)
    return graph


@pytest.fixture
def conv_net(tmp_path: Path) -> Path:
    return onnx_models.save(onnx_models.conv_net(), tmp_path / "model.onnx")


@pytest.mark.parametrize("case", onnx_models.CASES)
def test_graphs_keep_their_digest_through_json(case: str, tmp_path: Path) -> None:
    graph = _capture(onnx_models.save(onnx_models.CASES[case](), tmp_path / "m.onnx"))
    assert ir.graph_digest(ir.graph_from_data(ir.graph_to_data(graph))) == ir.graph_digest(graph)


def test_the_graph_depends_on_neither_path_nor_process(conv_net: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "other.onnx"
    other.parent.mkdir()
    other.write_bytes(conv_net.read_bytes())
    script = (
        "import sys; from partwise.frontends.onnx.model import OnnxModel; import partwise.ir as ir;"
        "from partwise.frontends.source import CaptureOptions;"
        "print(ir.graph_digest(OnnxModel(sys.argv[1], CaptureOptions()).capture()))"
    )
    found = subprocess.run([sys.executable, "-c", script, str(other)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ir.graph_digest(_capture(conv_net))


def test_the_level_changes_the_graph_and_not_its_multiply_accumulates(conv_net: Path) -> None:
    graphs = {level: _capture(conv_net, optimize=level) for level in _LEVELS}
    expected = 224 * 224 * 24 * (3 * 9 + 24 * 9) + 112 * 112 * (24 * 9 + 20 * 24) + 200
    assert {profile(graph).macs for graph in graphs.values()} == {expected}
    assert "com.microsoft.nchwc.Conv" in {node.op for node in graphs["all"].nodes}
    assert not any(node.op.startswith("com.microsoft.nchwc") for node in graphs["extended"].nodes)
    machines = {level: dict(graph.settings).get("machine") for level, graph in graphs.items()}
    assert machines == {"off": None, "basic": None, "extended": None, "all": machine_kind()}


def test_counts_follow_the_sizes(tmp_path: Path) -> None:
    graph = _capture(onnx_models.save(onnx_models.branches(), tmp_path / "m.onnx"))
    assert [profile(graph, {"batch": n}).macs for n in (1, 5)] == [32 * 32, 5 * 32 * 32]
    graph = _capture(onnx_models.save(onnx_models.scan(), tmp_path / "s.onnx"))
    assert profile(graph, {"sequence": 6, "n": 2}).macs == 6 * 2 * 8 * 8


def test_sizes_asked_for_are_the_hints_and_static_fixes_them(conv_net: Path) -> None:
    assert _capture(conv_net, batch=3, image_size=64).hints == {"batch": 3, "H": 64, "W": 64}
    fixed = _capture(conv_net, batch=3, image_size=64, static=True)
    assert (fixed.symbols, fixed.spec["x"].shape) == ((), (3, 3, 64, 64))


def test_no_such_level(conv_net: Path) -> None:
    with pytest.raises(InputError, match="off, basic, extended, all"):
        _capture(conv_net, optimize="most")


def test_weights_are_those_of_the_file(tmp_path: Path) -> None:
    path = onnx_models.save(onnx_models.shared(), tmp_path / "m.onnx")
    source = OnnxModel(path, CaptureOptions(optimize="off"))
    weights = source.weights(source.capture())
    assert sorted(weights) == ["table", "w"]
    assert len(weights) == 2
    read = {t.name: require("onnx").numpy_helper.to_array(t) for t in onnx_models.shared().graph.initializer}
    assert all(np.array_equal(weights[name], read[name]) for name in weights)


def test_external_data_are_read_from_the_models_folder(tmp_path: Path) -> None:
    onnx = require("onnx")
    path = tmp_path / "m.onnx"
    onnx.save_model(onnx_models.conv_net(), path, save_as_external_data=True, location="data.bin", size_threshold=0)
    inside = onnx_models.save(onnx_models.conv_net(), tmp_path / "inside.onnx")
    for options in ({}, {"static": True}):
        assert ir.graph_digest(_capture(path, **options)) == ir.graph_digest(_capture(inside, **options))


def test_a_plan_for_another_file_is_stale(conv_net: Path) -> None:
    graph = _capture(conv_net, batch=5)
    assert OnnxModel(conv_net, CaptureOptions()).weights(graph)
    model = onnx_models.conv_net()
    model.graph.node[1].op_type = "Tanh"
    onnx_models.save(model, conv_net)
    with pytest.raises(StalePlanError, match="another graph than"):
        OnnxModel(conv_net, CaptureOptions()).weights(graph)


def test_a_plan_for_another_machine_is_stale_and_says_what_is_portable(
    conv_net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = _capture(conv_net)
    monkeypatch.setattr("partwise.frontends.onnx.model.machine_kind", lambda: "abacus")
    with pytest.raises(StalePlanError, match=r"abacus.*--optimize extended"):
        OnnxModel(conv_net, CaptureOptions()).weights(graph)


def test_a_value_that_is_no_tensor_never_crosses(tmp_path: Path) -> None:
    graph = _capture(onnx_models.save(onnx_models.sequences(), tmp_path / "m.onnx"))
    contraction = ir.contract(graph)
    opaque = {spec.name for spec in graph.tensors if spec.dtype is ir.DType.OPAQUE}
    assert opaque
    for cut in range(1, len(contraction.placed)):
        parts = ir.divide(contraction, [contraction.placed[:cut], contraction.placed[cut:]])
        assert not opaque.intersection(*(part.inputs for part in parts))


def test_a_size_that_the_data_decide_is_a_symbol_without_an_input(tmp_path: Path) -> None:
    graph = _capture(onnx_models.save(onnx_models.sizes_by_data(), tmp_path / "m.onnx"))
    decided = [symbol for symbol in graph.symbols if symbol.input is None]
    assert [symbol.name for symbol in decided] == ["data_0"]
    assert graph.notes == ("1 sizes are decided by the data",)


def test_no_temporary_file_stays(conv_net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    source = OnnxModel(conv_net, CaptureOptions())
    assert source.weights(source.capture())
    del source
    assert not list(scratch.iterdir())
