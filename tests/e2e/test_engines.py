"""Other engines on real packages: each stage its own, none exact, all within the limit."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnx_models
import partwise
from partwise.errors import EngineError
from partwise.packaging import Package
from partwise.runtime import run_to_data

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    """Models in two stages, as exported: what an engine beside onnxruntime reads."""
    found: dict[str, Package] = {}
    for case in ("conv_net", "transformer"):
        folder = tmp_path_factory.mktemp(case)
        path = onnx_models.save(onnx_models.CASES[case](), folder / "m.onnx")
        graph = partwise.capture(str(path), optimize="off")
        found[case] = partwise.cut(str(path), partwise.plan(graph, stages=2), folder / "package")
    return found


@pytest.mark.parametrize("case", ["conv_net", "transformer"])
@pytest.mark.parametrize("engine", ["openvino", "1=openvino", "openvino,onnxruntime"])
def test_openvino_is_near_and_says_how_near(
    packages: dict[str, Package], case: str, engine: str, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    run = partwise.run(packages[case], engine=engine, threads=1, run_dir=tmp_path)
    record = run.record
    assert [settings.engine for settings in record.engines].count("openvino") == (2 if engine == "openvino" else 1)
    assert record.exact is False
    assert record.inexact is not None
    assert record.inexact.against == "onnxruntime"
    assert all(0 <= value <= record.inexact.limit for value in record.inexact.relative.values())
    verdict = partwise.verify(run)
    assert verdict.outcome == "accepted", verdict
    assert "no exact way" in verdict.reason or all(found.equal for found in verdict.chain)


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(set(onnx_models.CASES) - {"brain"}))
def test_openvino_runs_what_onnx_can_say(case: str, tmp_path: Path) -> None:
    """Control flow, functions, sequences, quantized and half weights, recurrence; but no bfloat16, which it refuses."""
    pytest.importorskip("openvino")
    path = onnx_models.save(onnx_models.CASES[case](), tmp_path / "m.onnx")
    plan = partwise.plan(partwise.capture(str(path), optimize="off"), stages=2)
    package = partwise.cut(str(path), plan, tmp_path / "package", check=False)
    record = partwise.run(package, engine="openvino", threads=1, save=False).record
    assert record.inexact is not None
    assert max(record.inexact.relative.values()) <= record.inexact.limit


def test_openvino_states_threads_pinning_and_precision(packages: dict[str, Package]) -> None:
    pytest.importorskip("openvino")
    record = partwise.run(packages["conv_net"], engine="openvino", threads=2, save=False).record
    for settings in record.engines:
        assert (settings.device, settings.threads, settings.pinning) == ("cpu", 2, "off")
        assert (settings.precision, settings.exact) == ("float32", False)


def test_beyond_the_limit_nothing_is_left(packages: dict[str, Package], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    with pytest.raises(EngineError, match="is too far from onnxruntime's"):
        partwise.run(packages["conv_net"], engine="openvino", max_difference=0.0, threads=1, run_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
    verdict = partwise.verify(packages["conv_net"], engine="openvino", max_difference=0.0, threads=1)
    assert verdict.outcome == "rejected"


def test_a_layout_of_onnxruntimes_own_is_refused_with_the_way_out(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = onnx_models.save(onnx_models.conv_net(), tmp_path / "m.onnx")
    package = partwise.cut(str(path), partwise.plan(partwise.capture(str(path)), stages=2), tmp_path / "package")
    with pytest.raises(EngineError, match="--optimize off"):
        partwise.run(package, engine="openvino", save=False)


def test_a_saved_run_keeps_its_difference(packages: dict[str, Package], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    from partwise.runtime import load_run

    run = partwise.run(packages["transformer"], engine="openvino", threads=1, run_dir=tmp_path)
    assert run.path is not None
    assert run_to_data(load_run(run.path).record) == run_to_data(run.record)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["compile", "torch,compile"])
def test_compiled_stages_are_near_at_every_size(engine: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
    model = torch.nn.Sequential(layer, torch.nn.Linear(32, 32), torch.nn.GELU(), torch.nn.Linear(32, 8)).eval()
    graph = partwise.capture(model, (torch.randn(2, 5, 32),))
    package = partwise.cut(model, partwise.plan(graph, stages=2), tmp_path / "package")
    name = package.manifest.inputs[0].tensor
    for batch in (2, 3):
        inputs = {name: torch.randn(batch, 5, 32).numpy()}
        run = partwise.run(package, inputs, engine=engine, threads=1, run_dir=tmp_path / "run")
        assert run.record.inexact is not None
        assert max(run.record.inexact.relative.values()) <= run.record.inexact.limit
        assert partwise.verify(run, against=model).outcome == "accepted"


@pytest.mark.slow
def test_state_is_kept_by_a_compiled_stage(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Counter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("total", torch.zeros(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.total.add_(x)
            return self.total * 2

    model = Counter().eval()
    graph = partwise.capture(model, (torch.ones(3),))
    package = partwise.cut(model, partwise.plan(graph, stages=1), tmp_path / "package", check=False)
    requests = [{package.manifest.inputs[0].tensor: torch.ones(3).numpy()}] * 3
    run = partwise.run(package, requests, engine="compile", save=False)
    assert [next(iter(request.outputs.values())).tolist() for request in run.requests] == [
        [2.0] * 3,
        [4.0] * 3,
        [6.0] * 3,
    ]
