"""Verdicts over packages and runs: honest ones pass, and every lie is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from partwise.digest import sha256_digest
from partwise.errors import DigestMismatchError, StalePlanError, VerifyError
from partwise.frontends.source import Source
from partwise.ir import Graph
from partwise.packaging import Package, open_package
from partwise.packaging.arrays import tensor_digest
from partwise.runtime import Run, load_run, run_package
from partwise.runtime.archive import read_archive, write_archive
from partwise.verification import Original, Outcome, check_package, verify_package, verify_run
from tests.packages import change_graph, change_manifest, example, small_graph, small_package, weights

pytest.importorskip("torch")


class Model:
    """The model of `tests.packages`, computed by torch as its makers meant it, off by as much as is asked for."""

    def __init__(self, **changed: np.ndarray) -> None:
        self.own = weights() | changed
        self.off, self.rows = 0.0, 99

    def capture(self) -> Graph:
        return small_graph()

    def weights(self, graph: Graph) -> Mapping[str, np.ndarray]:
        return {weight.tensor: self.own[weight.tensor] for weight in graph.weights}

    def answers(self, graph: Graph, requests: Iterable[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        return [self._answer(graph, inputs) for inputs in requests]

    def _answer(self, graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        w0, w1, w2 = (torch.from_numpy(self.own[name]) for name in ("w0", "w1", "w2"))
        x, mask = (torch.from_numpy(inputs[name]) for name in ("x", "mask"))
        active = torch.relu(x @ w0.T)
        y = ((active @ w1.T) * mask.float()[:, None] + active) @ w2.T
        return {graph.outputs[0].name: y.numpy()[: self.rows] + np.float32(self.off)}


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return small_package(tmp_path / "package")


@pytest.fixture
def original() -> Original:
    return Original(Model(), small_graph())


def _refuse(graph: Graph) -> Mapping[str, np.ndarray]:
    raise StalePlanError(f"weight of `{graph.name}`", "the model has none of this name")


def _saved(package: Package) -> Run:
    return load_run(run_package(package, example(), threads=1).path or "")


def _record(run: Run, change: Callable[[Any], None]) -> Run:
    """Rewrite a saved run's record."""
    assert run.path is not None
    data = json.loads((run.path / "run_result.json").read_bytes())
    change(data)
    (run.path / "run_result.json").write_bytes(json.dumps(data).encode())
    return load_run(run.path)


def test_an_honest_package(package: Package, original: Original) -> None:
    verdict = verify_package(package, original, example())
    assert verdict.outcome is Outcome.ACCEPTED
    assert verdict.chain[0].equal
    assert verdict.source[0].relative_difference <= 1e-5


def test_without_a_model_the_verdict_says_so(package: Package) -> None:
    verdict = verify_package(package)
    assert verdict.outcome is Outcome.ACCEPTED
    assert "no model was given" in verdict.reason
    assert verdict.source == ()


def test_an_honest_run(package: Package, original: Original) -> None:
    run = run_package(package, example())
    assert verify_run(run, package, original).outcome is Outcome.ACCEPTED
    assert verify_run(load_run(run.path or ""), package, original, example()).recorded[0].equal


def test_a_run_of_processes_verifies_in_one(package: Package) -> None:
    run = run_package(package, [example(1), example(3)], executor="processes", threads=1)
    verdict = verify_run(run, package)
    assert (verdict.outcome, verdict.requests) == (Outcome.ACCEPTED, 2)


def test_a_segment_that_computes_something_else(package: Package) -> None:
    changed = change_graph(package, 0, lambda g: g["nodes"][1].update(op="aten.silu.default"))
    change_manifest(changed, lambda m: m.update(exact=True, difference={"y": 0.0}))
    verdict = verify_package(open_package(package.path))
    assert verdict.outcome is Outcome.REJECTED
    assert "differ from the graph as one segment" in verdict.reason


def test_saying_that_it_is_not_exact_is_no_excuse_for_much(package: Package) -> None:
    changed = change_graph(package, 0, lambda g: g["nodes"][1].update(op="aten.silu.default"))
    change_manifest(changed, lambda m: m.update(exact=False))
    assert verify_package(open_package(package.path)).outcome is Outcome.REJECTED


def test_a_weight_that_hardly_differs(package: Package) -> None:
    mine = weights()["w1"].copy()
    mine[0, 0] = np.nextafter(mine[0, 0], np.float32(9))
    verdict = verify_package(package, Original(Model(w1=mine), small_graph()), example())
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, "weight `w1` is not the model's own")


def test_another_model(package: Package, original: Original) -> None:
    model = cast(Model, original.source)
    model.off = 0.1
    verdict = verify_package(package, original, example())
    assert verdict.outcome is Outcome.REJECTED
    assert "differs from the model" in verdict.reason
    model.weights = _refuse  # type: ignore[method-assign]
    assert "another one" in verify_package(package, original, example()).reason


def test_a_run_of_another_package(package: Package, tmp_path: Path) -> None:
    run = _saved(package)
    other = small_package(tmp_path / "other", "null")
    assert "another package" in verify_run(run, other).reason


def test_recorded_outputs_that_were_changed(package: Package) -> None:
    run = _saved(package)
    outputs = read_archive((run.path or Path()) / "outputs.npz")
    outputs["y"] = np.nextafter(outputs["y"], np.float32(9))
    write_archive((run.path or Path()) / "outputs.npz", outputs)
    assert "not those of the run's record" in verify_run(load_run(run.path or ""), package).reason
    forged = _record(run, lambda d: d["requests"][0]["outputs"].update(y=tensor_digest(outputs["y"])))
    verdict = verify_run(forged, package)
    assert verdict.outcome is Outcome.REJECTED
    assert "do not give the recorded `y`" in verdict.reason
    assert not verdict.recorded[0].equal


@pytest.mark.parametrize("setting", ["version", "processor"])
def test_other_settings_and_a_small_difference_settle_nothing(setting: str, package: Package) -> None:
    run = _saved(package)
    outputs = {"y": np.nextafter(run.outputs["y"], np.float32(9))}
    write_archive((run.path or Path()) / "outputs.npz", outputs)

    def forge(data: Any) -> None:
        data["requests"][0]["outputs"]["y"] = tensor_digest(outputs["y"])
        data["engines"][0][setting] = "1.0"

    verdict = verify_run(_record(run, forge), package)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "other settings" in verdict.notes[0]


def test_an_output_that_nobody_computes_is_none_of_a_run(package: Package) -> None:
    run = _saved(package)
    more = {**run.outputs, "z": run.outputs["y"]}
    record = replace(run.record.requests[0], outputs={name: tensor_digest(value) for name, value in more.items()})
    forged = replace(run, record=replace(run.record, requests=(record,)),
                     requests=(replace(run.requests[0], record=record, outputs=more),))  # fmt: skip
    verdict = verify_run(forged, package)
    assert (verdict.outcome, verdict.reason) == (
        Outcome.REJECTED,
        "request 0 has other outputs than the package gives: `z`",
    )


def test_a_run_that_computed_nothing_settles_nothing(package: Package) -> None:
    run = run_package(package, example(), engine="null", save=False)
    verdict = verify_run(run, package)
    assert (verdict.outcome, verdict.reason) == (
        Outcome.INCONCLUSIVE,
        "engine `null` computes nothing of the model",
    )
    assert verify_package(package, engine="null").reason == verdict.reason


def test_recorded_inputs_that_were_changed(package: Package) -> None:
    run = _saved(package)
    inputs = read_archive((run.path or Path()) / "inputs.npz")
    write_archive((run.path or Path()) / "inputs.npz", inputs | {"x": inputs["x"] + 1})
    assert "was not run on these inputs" in verify_run(load_run(run.path or ""), package).reason


def test_the_verifiers_own_inputs(package: Package) -> None:
    run = _saved(package)
    assert verify_run(run, package, inputs=example()).outcome is Outcome.ACCEPTED
    assert "was not run on these inputs" in verify_run(run, package, inputs=example(seed=9)).reason
    assert "of 1 requests, not of 2" in verify_run(run, package, inputs=[example()] * 2).reason


def test_absurd_threads_in_a_record_are_no_order(package: Package) -> None:
    run = _record(_saved(package), lambda d: [e.update(threads=10**9) for e in d["engines"]] and None)
    assert verify_run(run, package).notes


def test_a_model_with_another_graph(package: Package) -> None:
    verdict = verify_package(package, Original(Model(), replace(small_graph(), name="other")), example())
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "another graph" in verdict.reason


def test_no_request_settles_nothing(package: Package) -> None:
    assert verify_package(package, inputs=[]).outcome is Outcome.INCONCLUSIVE


def test_a_damaged_package_is_an_error(package: Package) -> None:
    for blob in (package.path / "blobs/sha256").iterdir():
        blob.write_bytes(b"\0" * blob.stat().st_size)
    with pytest.raises(DigestMismatchError):
        verify_package(package)


def test_the_cutters_check(package: Package) -> None:
    found = check_package(package, cast(Source, Model()), inputs=example(), threads=1)
    assert found.exact
    assert found.difference["y"] <= 1e-5
    assert found.source[0].largest_difference == found.difference["y"]


def test_the_cutters_check_finds_a_chain_that_differs(package: Package) -> None:
    changed = change_graph(package, 0, lambda g: g["nodes"][1].update(op="aten.silu.default"))
    assert not check_package(changed, Model(), inputs=example()).exact


def test_a_difference_without_a_size_is_an_error(package: Package) -> None:
    model = Model()
    model.rows = 1
    with pytest.raises(VerifyError, match="another type, shape or kind"):
        check_package(package, model, inputs=example())


def test_a_check_happens_before_the_package_is_in_place(tmp_path: Path) -> None:
    def check(package: Package) -> Any:
        found = check_package(package, Model(), inputs=example())
        return replace(package.manifest, exact=found.exact, difference=found.difference)

    assert small_package(tmp_path / "p", check=check).manifest.exact
    assert sha256_digest((tmp_path / "p/manifest.json").read_bytes()) == open_package(tmp_path / "p").digest
