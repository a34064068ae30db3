"""Stages cut smaller while they run: every piece exact, for torch and ONNX, in threads and in processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partwise.errors import EngineError, RunError
from partwise.packaging import Package, Segment
from partwise.runtime import Capacity, Run, run_package
from partwise.runtime.engines import ENGINES, make_engine
from partwise.runtime.engines.engine import EngineSettings, LoadedSegment, NodeObserver

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module", params=["torch", "onnx"])
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Eight layers in two stages, with a value that skips from the first to the last."""
    import partwise

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(16, 16) for _ in range(8))

        def forward(self, x: Any) -> Any:
            first = y = self.layers[0](x)
            for layer in self.layers[1:]:
                y = torch.nn.functional.gelu(layer(y))
            return y + first

    torch.manual_seed(0)
    folder, x = tmp_path_factory.mktemp("division"), torch.randn(3, 16)
    model: Any = Model().eval()
    if request.param == "onnx":
        model = str(write_onnx(folder / "model.onnx"))
    graph = partwise.capture(model, (x,) if request.param == "torch" else None)
    return partwise.cut(model, partwise.plan(graph, stages=2), folder / "package")


def write_onnx(path: Path) -> Path:
    """The same in ONNX, with ReLU."""
    onnx = pytest.importorskip("onnx")
    chance, nodes, held = np.random.default_rng(0), list[Any](), list[Any]()
    for number in range(8):
        weight = chance.standard_normal((16, 16)).astype(np.float32) / 4
        held.append(onnx.numpy_helper.from_array(weight, f"w{number}"))
        nodes.append(onnx.helper.make_node("MatMul", [f"y{number}" if number else "x", f"w{number}"], [f"m{number}"]))
        nodes.append(onnx.helper.make_node("Relu", [f"m{number}"], [f"y{number + 1}"]))
    nodes.append(onnx.helper.make_node("Add", ["y8", "m0"], ["out"]))
    x, out = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [3, 16]) for name in ("x", "out"))
    graph = onnx.helper.make_graph(nodes, "layers", [x], [out], initializer=held)
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def inputs(package: Package, count: int) -> list[dict[str, np.ndarray]]:
    name = package.manifest.inputs[0].tensor
    return [{name: np.random.default_rng(n).standard_normal((3, 16)).astype(np.float32)} for n in range(count)]


def answers(run: Run) -> list[bytes]:
    return [value.tobytes() for request in run.requests for value in request.outputs.values()]


OPTIONS: dict[str, Any] = {"threads": 1, "save": False}


@pytest.mark.parametrize(
    ("executor", "layers", "workers"), [("in-process", 2, 6), ("in-process", 1, 12), ("processes", 2, 6)]
)
def test_stages_above_a_workers_capacity_run_in_pieces(
    package: Package, executor: str, layers: int, workers: int
) -> None:
    stream = inputs(package, 4)
    expected = answers(run_package(package, stream, **OPTIONS))
    run = run_package(
        package, stream, executor=executor, workers=workers, in_flight=3, capacity=Capacity(layers=layers), **OPTIONS
    )
    assert answers(run) == expected
    assert {incident.what for incident in run.record.incidents} == {"divided"}
    assert len(run.record.engines) >= 8 / layers


@pytest.mark.parametrize("executor", ["in-process", "processes"])
def test_what_no_worker_can_hold_is_said(package: Package, executor: str) -> None:
    with pytest.raises(RunError, match=r"needs \d+ bytes, has 100"):
        run_package(package, executor=executor, capacity=Capacity(bytes=100), **OPTIONS)


def test_too_few_workers_are_said(package: Package) -> None:
    """Every piece fits a worker, and all of them together fit no two workers."""
    said = r"all stages need 8 layers, and 2 workers take 4: more workers are needed"
    with pytest.raises(RunError, match=said):
        run_package(package, workers=2, capacity=Capacity(layers=2), **OPTIONS)


class Tight:
    """A device on which only so many weights fit at once: a task that needs more fails as one out of memory does."""

    most = 2

    def __init__(self, threads: int, device: str = "cpu") -> None:
        del device
        self._inner = make_engine(Tight.inner, threads)

    inner = "torch"

    @property
    def settings(self) -> EngineSettings:
        return self._inner.settings

    def load(self, segment: Segment) -> LoadedSegment:
        return _TightSegment(self._inner.load(segment), sum(array.ndim > 1 for array in segment.weights.values()))


class _TightSegment:
    def __init__(self, inner: LoadedSegment, matrices: int) -> None:
        self._inner, self._matrices = inner, matrices

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        if self._matrices > Tight.most:
            raise MemoryError(f"{self._matrices} matrices")
        return self._inner.run(inputs, sizes, observe)


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("most", [2, 1])
def test_a_task_that_does_not_fit_goes_on_in_pieces(
    package: Package, monkeypatch: pytest.MonkeyPatch, most: int, in_flight: int
) -> None:
    stream = inputs(package, 6)
    expected = answers(run_package(package, stream, **OPTIONS))
    monkeypatch.setitem(ENGINES, "tight", f"{__name__}:Tight")
    monkeypatch.setattr(Tight, "most", most)
    monkeypatch.setattr(Tight, "inner", package.manifest.engine)
    run = run_package(package, stream, engine="tight", in_flight=in_flight, **OPTIONS)
    assert answers(run) == expected
    assert {incident.what for incident in run.record.incidents} >= {"failed", "divided"}


def test_a_layer_that_does_not_fit_is_an_error(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "tight", f"{__name__}:Tight")
    monkeypatch.setattr(Tight, "most", 0)
    monkeypatch.setattr(Tight, "inner", package.manifest.engine)
    with pytest.raises(EngineError, match="MemoryError"):
        run_package(package, engine="tight", **OPTIONS)
