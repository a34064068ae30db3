"""A model that keeps something between requests: a right stream is accepted, in its order alone, with no trace left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import partwise  # noqa: E402
from partwise.errors import ModelError, RunError  # noqa: E402
from partwise.frontends.open import open_model  # noqa: E402
from partwise.frontends.source import CaptureOptions  # noqa: E402
from partwise.packaging import Package  # noqa: E402


class Keeping(torch.nn.Module):
    """A layer on either side of a buffer that `write` changes."""

    def __init__(self, write: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        self.register_buffer("kept", torch.zeros(4))
        self.write = write

    def forward(self, x: Any) -> Any:
        return self.second(torch.relu(self.write(self, self.first(x))))


def _in_place(module: Any, x: Any) -> Any:
    module.kept.add_(x.mean(0))
    return x + module.kept


def _bound_anew(module: Any, x: Any) -> Any:
    module.kept = module.kept * 0.5 + x.mean(0)
    return x * module.kept


def _input_too(module: Any, x: Any) -> Any:
    x.mul_(2)
    return _in_place(module, x)


class Shown(torch.nn.Module):
    """Gives its own memory, and writes to what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(4))

    def forward(self, x: Any) -> Any:
        x.add_(1)
        self.total.add_(x)
        return self.total


def _requests(count: int = 3) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(3)
    return [{"x": generator.standard_normal((2, 4)).astype(np.float32)} for _ in range(count)]


def _package(module: Any, folder: Path, stages: int = 2) -> Package:
    torch.manual_seed(0)
    return partwise.cut(module, partwise.plan(partwise.capture(module, (torch.randn(2, 4),)), stages=stages), folder)


@pytest.mark.parametrize(
    ("write", "executor"),
    [(_in_place, "processes"), *((write, "in-process") for write in (_in_place, _bound_anew, _input_too))],
)
def test_a_right_stream_is_accepted_and_leaves_no_trace(write: Any, executor: str, tmp_path: Path) -> None:
    module = Keeping(write).eval()
    package = _package(module, tmp_path / "package")
    requests = _requests()
    given = [request["x"].copy() for request in requests]
    run = partwise.run(package, requests, executor=executor, threads=1)
    for _ in range(2):
        verdict = partwise.verify(run, against=module)
        assert (verdict.outcome, verdict.requests) == ("accepted", 3), verdict.reason
        assert all(found.equal for found in (*verdict.chain, *verdict.source, *verdict.recorded))
    assert partwise.verify(package, against=module, inputs=requests).outcome == "accepted"
    assert module.kept.tolist() == [0.0] * 4
    assert all(np.array_equal(request["x"], before) for request, before in zip(requests, given, strict=True))
    with torch.no_grad():
        expected = [module(torch.from_numpy(value.copy())).numpy() for value in given]
    assert all(np.array_equal(r.outputs["output"], e) for r, e in zip(run.requests, expected, strict=True))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"executor": "processes", "engine": "fake:torch+die=2"}, "would begin anew"),
        ({"executor": "processes", "workers": 3, "in_flight": 6}, "has several workers"),
        ({"executor": "in-process", "workers": 3, "in_flight": 6}, "has several workers"),
        ({"executor": "in-process", "engine": "fake:torch+fail=3"}, "would see a request again"),
    ],
)
def test_a_run_that_loses_what_it_keeps_ends(options: Any, what: str, tmp_path: Path) -> None:
    package = _package(Keeping(_in_place).eval(), tmp_path / "package", stages=1)
    with pytest.raises(RunError, match=f"segment 0: keeps `kept` between requests and {what}"):
        partwise.run(package, _requests(6), threads=1, save=False, **options)


def test_a_model_without_a_state_may_lose_workers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()).eval()
    plan = partwise.plan(partwise.capture(module, (torch.randn(2, 4),)), stages=1)
    package = partwise.cut(module, plan, tmp_path / "package")
    name = package.manifest.inputs[0].tensor
    requests = [{name: request["x"]} for request in _requests(4)]
    run = partwise.run(package, requests, threads=1, save=False, engine="fake:torch+fail=3")
    assert run.record.incidents
    assert partwise.verify(run, against=module, package=package).outcome == "accepted"


def test_answers_in_another_order_are_rejected(tmp_path: Path) -> None:
    module = Keeping(_in_place).eval()
    run = partwise.run(_package(module, tmp_path / "package"), _requests(), threads=1, save=False)
    swapped = [run.requests[0], run.requests[2], run.requests[1]]
    record = replace(run.record, requests=tuple(run.record.requests[number] for number in (0, 2, 1)))
    verdict = partwise.verify(replace(run, record=record, requests=tuple(swapped)), against=module)
    assert verdict.outcome == "rejected"
    assert "do not give the recorded `output`" in verdict.reason


def test_the_modules_own_memory_is_never_an_answer() -> None:
    module, requests = Shown().eval(), [{"x": np.full(4, number, np.float32)} for number in (0, 1)]
    source = open_model(module, CaptureOptions(example_inputs=(torch.zeros(4),)))
    found = source.answers(source.capture(), requests)
    assert [answer["output"].tolist() for answer in found] == [[1.0] * 4, [3.0] * 4]
    assert [request["x"].tolist() for request in requests] == [[0.0] * 4, [1.0] * 4]
    assert module.total.tolist() == [0.0] * 4


def test_a_request_that_the_module_refuses_leaves_its_state_too() -> None:
    module = Keeping(_in_place).eval()
    source = open_model(module, CaptureOptions(example_inputs=(torch.randn(2, 4),)))
    with pytest.raises(ModelError, match="refuses these inputs"):
        source.answers(source.capture(), [*_requests(), {"x": np.zeros((2, 5), np.float32)}])
    assert module.kept.tolist() == [0.0] * 4


@pytest.mark.filterwarnings("ignore")  # torch.export's own
def test_an_archives_stream(tmp_path: Path) -> None:
    module, requests = Keeping(_in_place).eval(), _requests()
    program = torch.export.export(module, (torch.randn(2, 4),), strict=False).run_decompositions({})
    torch.export.save(program, tmp_path / "m.pt2")
    source = open_model(str(tmp_path / "m.pt2"))
    found = source.answers(source.capture(), requests)
    with torch.no_grad():
        expected = [module(torch.from_numpy(request["x"])).numpy() for request in requests]
    assert all(np.array_equal(a["output"], e) for a, e in zip(found, expected, strict=True))
    assert np.array_equal(source.answers(source.capture(), requests[:1])[0]["output"], expected[0])
