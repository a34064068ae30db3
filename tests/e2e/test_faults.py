"""Devices that fail, hang, lie, die or are not there: what was asked for comes out right, and the record tells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.packages import example, small_package

from partwise.errors import EngineError, EngineMissingError, InterfaceMismatchError
from partwise.packaging import Package
from partwise.runtime import Policy, run_package
from partwise.runtime.executors import Answer, Options, Values, start_executor

POLICY = Policy(tick_s=0.1, exclude_s=0.2, least_deadline_s=1.0, deadline_factor=1.0, backoff_s=0.01)
COUNT = 20


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("faults") / "package", "null")


def requests() -> Iterator[Values]:
    return (example(batch=1 + number % 3, seed=number) for number in range(COUNT))


def answered(package: Package, engine: str, executor: str, **options: Any) -> tuple[list[Answer], Counter[str]]:
    given = Options(engine=engine, threads=1, policy=POLICY)
    with start_executor(executor, package, replace(given, **options)) as working:
        answers = list(working.run(requests()))
        return answers, Counter(incident.what for incident in working.incidents)


def outputs(answers: list[Answer]) -> list[bytes]:
    return [answer.outputs["y"].tobytes() for answer in answers]


@pytest.fixture(scope="module")
def right(package: Package) -> list[bytes]:
    return outputs(answered(package, "null", "in-process")[0])


@pytest.mark.parametrize("executor", ["in-process", "processes"])
def test_a_device_that_fails_now_and_then(package: Package, right: list[bytes], executor: str) -> None:
    answers, incidents = answered(package, "null,fake:null+fail=4,null", executor)
    assert outputs(answers) == right
    assert incidents["failed"] >= COUNT // 4


@pytest.mark.parametrize(("fault", "incident"), [("die=7", "lost"), ("hang=9", "overdue"), ("shape=8", "lied")])
def test_a_device_that_takes_its_process_with_it(
    package: Package, right: list[bytes], fault: str, incident: str
) -> None:
    answers, incidents = answered(package, f"null,fake:null+{fault},null", "processes")
    assert outputs(answers) == right
    assert incidents[incident] >= 2


def test_a_device_that_is_always_failing_ends_the_run_in_its_own_words(package: Package) -> None:
    with pytest.raises(EngineError, match="the fake device fails as it was told to"):
        answered(package, "null,fake:null+fail=1,null", "in-process")


@pytest.mark.parametrize("executor", ["in-process", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_request_that_cannot_be_computed_leaves_the_others_alone(tmp_path: Path, executor: str) -> None:
    torch = pytest.importorskip("torch")
    import partwise

    model = torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)).eval()
    ids = torch.tensor([[1, 2, 3]])
    package = partwise.cut(model, partwise.plan(partwise.capture(model, (ids,)), stages=2), tmp_path / "p")
    name = package.manifest.inputs[0].tensor
    stream = [{name: np.array([[1, 2, number]])} for number in (3, 4, 99, 5, 6)]
    policy = replace(POLICY, keep_going=True)
    with start_executor(executor, package, Options(engine="torch", threads=1, in_flight=3, policy=policy)) as working:
        answers = list(working.run(stream))
        assert [answer.request for answer in answers] == list(range(5))
        assert [answer.error is None for answer in answers] == [True, True, False, True, True]
        assert "index out of range" in str(answers[2].error)
        again = list(working.run(stream[:2]))
    assert [outputs_of(answer) for answer in again] == [outputs_of(answer) for answer in answers[:2]]


def outputs_of(answer: Answer) -> list[bytes]:
    return [value.tobytes() for value in answer.outputs.values()]


def table_of_ten(path: Path) -> Path:
    """Rows of a table by their numbers, then a product, in ONNX."""
    onnx = pytest.importorskip("onnx")
    chance = np.random.default_rng(0)
    held = [onnx.numpy_helper.from_array(chance.standard_normal((10, 4)).astype(np.float32), "table"),
            onnx.numpy_helper.from_array(chance.standard_normal((4, 4)).astype(np.float32), "w")]  # fmt: skip
    nodes = [onnx.helper.make_node("Gather", ["table", "ids"], ["rows"]),
             onnx.helper.make_node("MatMul", ["rows", "w"], ["y"])]  # fmt: skip
    ids = onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, [3])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3, 4])
    graph = onnx.helper.make_graph(nodes, "main_graph", [ids], [y], initializer=held)
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.mark.parametrize("executor", ["in-process", pytest.param("processes", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("engine", "words"),
    [("torch", "torch failed: index out of range in self"), ("onnxruntime", "out of data bounds, idx=99")],
)
def test_the_last_error_is_the_engines_own_with_worker_and_attempts(
    tmp_path: Path, engine: str, words: str, executor: str
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    import partwise

    model: Any = torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Linear(4, 4)).eval()
    examples: Any = (torch.tensor([1, 2, 3]),)
    if engine == "onnxruntime":
        model, examples = table_of_ten(tmp_path / "table.onnx"), None
    package = partwise.cut(model, partwise.plan(partwise.capture(model, examples), stages=2), tmp_path / "p")
    bad = {package.manifest.inputs[0].tensor: np.array([1, 2, 99])}
    with pytest.raises(EngineError) as failed:
        run_package(package, bad, executor=executor, workers=1, threads=1, save=False, policy=POLICY)
    assert failed.value.subject == "segment 0"
    assert words in failed.value.what
    assert failed.value.what.endswith("(3 attempts, on worker 0)")


@pytest.mark.parametrize("executor", ["in-process", "processes"])
def test_a_request_of_the_wrong_shape_is_not_repeated(package: Package, executor: str) -> None:
    with (
        start_executor(executor, package, Options(engine="null", threads=1)) as working,
        pytest.raises(InterfaceMismatchError, match="model input `mask`"),
    ):
        list(working.run([example() | {"mask": np.zeros(9, bool)}]))
    assert working.incidents == ()


@pytest.mark.parametrize("executor", ["in-process", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_missing_device_sends_its_stage_to_the_cpu_where_that_is_allowed(tmp_path: Path, executor: str) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("the device is here; no GPU must be: this is about one that is missing")
    import partwise

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.GELU(), torch.nn.Linear(4, 4)).eval()
    x = torch.randn(3, 4)
    package = partwise.cut(model, partwise.plan(partwise.capture(model, (x,)), stages=2), tmp_path / "p")
    given: dict[str, Any] = {"inputs": {package.manifest.inputs[0].tensor: x.numpy()}, "threads": 1, "save": False}
    expected = run_package(package, **given)
    run = run_package(package, engine="0=torch:cuda", executor=executor, policy=Policy(cpu_fallback=True), **given)
    assert run.outputs["output"].tobytes() == expected.outputs["output"].tobytes()
    assert [(incident.what, incident.stage) for incident in run.record.incidents] == [("refused", 0), ("on cpu", 0)]
    assert [engine.device for engine in run.record.engines] == ["cpu", "cpu"]
    with pytest.raises(EngineMissingError):
        run_package(package, engine="0=torch:cuda", executor=executor, **given)


def test_the_command_tells_what_went_wrong(package: Package, tmp_path: Path) -> None:
    """Two runs that nothing happened to leave equal records; one that lost workers leaves the same answers."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, values in enumerate(requests()):
        np.savez(folder / f"{number:02}.npz", **values)
    records = list[dict[str, Any]]()
    for number, engine in enumerate(("null", "null", "1=fake:null+die=7")):
        words = ["run", package.path, "--input", folder, "--run-dir", tmp_path / str(number), "--workers", 2]
        more = ["--in-flight", 3, "--engine", engine, "--threads", 1, "--json"]
        program = [sys.executable, "-m", "partwise.cli", *map(str, [*words, *more])]
        done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=True)
        records.append(json.loads(done.stdout))
    assert records[0] == records[1]
    assert records[0]["incidents"] == []
    assert records[2]["requests"] == records[0]["requests"]
    assert {incident["what"] for incident in records[2]["incidents"]} == {"lost"}
    assert all("exit code 9" in incident["why"] for incident in records[2]["incidents"])
