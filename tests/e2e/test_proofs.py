"""Proofs by the command: verb by verb, in one go, killed and called again, in part, and what users get wrong."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from zk_machine import Machine
from zk_models import SKIP, SKIP_WEIGHTS, request_file, skip_model, write_model

pytest.importorskip("ezkl")

TINY = ("--scale", "5", "--base", "64", "--legs", "4")


@pytest.fixture(scope="module")
def srs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of self-made SRS files for all tests here."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def machine(tmp_path: Path, srs: Path) -> Machine:
    skip_model(tmp_path / "model.onnx")
    request_file(tmp_path / "input.json")
    made = Machine(tmp_path)
    made.environment["XDG_CACHE_HOME"] = str(srs)
    return made


def test_verb_by_verb_and_on_another_machine(machine: Machine, tmp_path: Path) -> None:
    machine.call("slice", "model.onnx")
    pin = str(machine.data("compile", *TINY, "--insecure-srs")["manifest"])
    machine.call("run", "slices/", "--input", "input.json")
    machine.call("prove", "-o", "proofs.zip")
    assert "ACCEPTED" in machine.call("verify")
    assert "ACCEPTED" in machine.call("verify", cwd=tmp_path / "run" / "run_1")
    layout = ["slices/metadata.json", "analysis/model_metadata.json", "slices/segment_1/segment_1.onnx"]
    assert all((tmp_path / name).is_file() for name in layout)
    result = json.loads((tmp_path / "run" / "run_1" / "run_result.json").read_bytes())
    assert (result["total_segments"], result["proved_segments"], result["verified_segments"]) == (3, 3, 3)
    assert all(s["proof_execution"]["success"] and s["verification_execution"]["success"] for s in result["segments"])
    assert result["error"]["y"] < 0.2

    other = Machine(tmp_path / "other")
    other.folder.mkdir()
    for name in ("proofs.zip", "input.json", "run/run_1/output.json"):
        shutil.copy(tmp_path / name, other.folder)
    ends = ("--input", "input.json", "--claim", "output.json")
    found = other.data("verify", "proofs.zip", "--manifest", pin, *ends)
    assert (found["outcome"], found["edges"]) == ("accepted", 3)
    assert any("self-made" in note for note in found["notes"])  # pyright: ignore[reportGeneralTypeIssues]
    assert "manifest not pinned" in other.call("verify", "proofs.zip", *ends, code=1)
    assert "not the pinned" in other.call("verify", "proofs.zip", "--manifest", f"sha256:{'0' * 64}", *ends, code=1)


@pytest.mark.slow
def test_finished_circuits_are_reused_and_changed_ones_are_not(machine: Machine) -> None:
    machine.call("slice", "model.onnx")
    machine.call("compile", *TINY, "--insecure-srs", "--layers", "0")
    again = machine.data("compile", *TINY, "--insecure-srs", "--layers", "0,2")
    assert [one["reused"] for one in again["segments"]] == [True, False]  # pyright: ignore[reportGeneralTypeIssues]
    changed = machine.data("compile", *TINY, "--columns", "3", "--insecure-srs", "--layers", "0-0")
    assert [one["reused"] for one in changed["segments"]] == [False]  # pyright: ignore[reportGeneralTypeIssues]


@pytest.mark.slow
def test_a_part_is_never_accepted_as_the_whole(machine: Machine) -> None:
    machine.call("slice", "model.onnx")
    machine.call("compile", *TINY, "--insecure-srs", "--layers", "0,2")
    machine.call("run", "slices/", "--input", "input.json")
    result = machine.data("prove")
    assert [s["proved"] for s in result["segments"]] == ["proved", "not proved", "proved"]  # pyright: ignore[reportGeneralTypeIssues]
    found = machine.data("verify", code=1)
    assert (found["outcome"], found["reason"]) == ("inconclusive", "segment 1 is not proved")
    assert found["edges"] == 1, "the skip connection between the proved ones is compared all the same"


@pytest.mark.slow
def test_in_one_go_killed_again_and_again(machine: Machine, tmp_path: Path) -> None:
    """kill -9 at some twenty moments of a full run; the call after it always ends in the same verdict."""
    words = ("full-run", "model.onnx", "--proof", "--input", "input.json", "--insecure-srs", *TINY)
    noise = np.random.default_rng(0)
    kills = 0
    for _ in range(20):
        process = machine.start(*words)
        time.sleep(float(noise.uniform(0.5, 8)))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills >= 3
    assert "ACCEPTED" in machine.call(*words)
    left = [p for p in tmp_path.rglob(".*") if "cache" not in p.parts]
    assert not [p for p in left if p.is_dir() and p.name.startswith((".run.", ".ezkl."))], left


@pytest.mark.slow
def test_in_one_go_and_again_with_what_is_there(machine: Machine) -> None:
    words = ("full-run", "model.onnx", "--proof", "--input", "input.json", "--insecure-srs", *TINY)
    assert "ACCEPTED" in machine.call(*words)
    found = machine.data("full-run", ".", "--input", "input.json", "--insecure-srs", *TINY)
    assert found["verdict"]["outcome"] == "accepted"  # pyright: ignore[reportIndexIssue]


@pytest.mark.slow
def test_users_mistakes(machine: Machine, tmp_path: Path) -> None:
    assert "partwise slice" in machine.call("compile", code=3)
    machine.call("slice", "model.onnx")
    assert "docs/prove.md" in machine.call("compile", code=3)
    assert "0-2" in machine.call("compile", "--insecure-srs", "--layers", "1,7", code=3)
    assert "--input" in machine.call("run", "slices/", code=2)
    assert "partwise compile" in machine.call("run", "slices/", "--input", "input.json", "--layers", "1", code=3)
    machine.call("compile", *TINY, "--insecure-srs")
    for text, word in (
        ('{"x": [[1, 2, 3]]}', "shape"),
        ('{"x": []}', "shape"),
        ('{"x": [[true, false, true, true]]}', "numbers"),
        ('{"x": [[NaN, 0, 0, 0]]}', "finite"),
        ('{"z": [[0, 0, 0, 0]]}', "missing"),
        ('{"x": [[1e9, 0, 0, 0]]}', "outside the range of its circuit"),
    ):
        (tmp_path / "bad.json").write_text(text)
        assert word in machine.call("run", "slices/", "--input", "bad.json", code=3), text
    assert "--max-error" in machine.call("run", "slices/", "--input", "input.json", "--max-error", "1e-9", code=6)
    assert not list((tmp_path / "run").iterdir()), "nothing half-written is left"
    assert "holds no run" in machine.call("prove", code=3)
    assert "does not exist" in machine.call("prove", "run/run_9", code=3)


@pytest.mark.slow
def test_a_value_too_large_inside_a_circuit_is_named(machine: Machine, tmp_path: Path) -> None:
    """The request fits; the square of what comes of it does not."""
    text = "g (float[1,4] x) => (float[1,4] y) { a = Gemm <transB=1> (x, W0, B0)\n b = Mul (a, a)\n y = Relu (b) }"
    write_model(tmp_path / "square.onnx", text, {"W0": (4, 4), "B0": (4,)})
    machine.call("slice", "square.onnx", "--segments", "1")
    machine.call("compile", *TINY[:4], "--legs", "3", "--insecure-srs", "--input", "input.json")
    (tmp_path / "large.json").write_text('{"x": [[100, -100, 100, 100]]}')
    said = machine.call("run", "slices/", "--input", "large.json", code=3)
    assert "segment 0, `b`: holds a value outside the range of its circuit; expected below 262144" in said
    assert "times as far" in said
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.slow
def test_keys_of_another_version_of_the_prover(machine: Machine, tmp_path: Path) -> None:
    machine.call("slice", "model.onnx")
    machine.call("compile", *TINY, "--insecure-srs", "--layers", "0")
    record = tmp_path / "slices" / "segment_0" / "ezkl" / "circuit.json"
    record.write_text(record.read_text().replace("23.0.5", "22.0.0"))
    assert "expected ezkl 22.0.0, got ezkl 23.0.5" in machine.call("run", "slices/", "--input", "input.json", code=5)


@pytest.mark.slow
def test_operators_and_shapes_that_no_circuit_has(machine: Machine, tmp_path: Path) -> None:
    text = "g (float[1,4] x) => (float[1,4] y) { a = Gemm <transB=1> (x, W0, B0)\n b = Mod <fmod=1> (a, a)\n"
    text += " y = Gemm <transB=1> (b, W1, B1) }"
    shapes = {"W0": (4, 4), "B0": (4,), "W1": (4, 4), "B1": (4,)}
    write_model(tmp_path / "mod.onnx", text, shapes)
    machine.call("slice", "mod.onnx")
    assert "segment" in (found := machine.call("compile", *TINY, "--insecure-srs", code=3))
    assert "Mod" in found
    write_model(tmp_path / "open.onnx", SKIP.replace("[1,4]", "[N,4]"), SKIP_WEIGHTS)
    assert "--batch 1" in machine.call("slice", "open.onnx", code=3)
    machine.call("slice", "open.onnx", "--batch", "1")


@pytest.mark.slow
@pytest.mark.parametrize("visibility", ["hashed", "polycommit"])
def test_values_hidden_in_hashes_and_commitments(visibility: str, machine: Machine) -> None:
    words = ("full-run", "model.onnx", "--proof", "--input", "input.json", "--insecure-srs", *TINY)
    found = machine.data(*words, "--visibility", visibility)
    assert found["verdict"]["outcome"] == "accepted"  # pyright: ignore[reportIndexIssue]
    assert found["verdict"]["edges"] == 3  # pyright: ignore[reportIndexIssue]
    machine.call("verify", "--claim", "input.json", code=1)


@pytest.mark.slow
def test_limits_of_a_call(machine: Machine) -> None:
    machine.call("slice", "model.onnx")
    assert "took too long" in machine.call("compile", *TINY, "--insecure-srs", "--time-limit", "0.001", code=7)
    assert "--memory-limit" in machine.call("compile", *TINY, "--insecure-srs", "--memory-limit", "40MB", code=7)


@pytest.mark.slow
def test_integer_mode(machine: Machine) -> None:
    """Nothing is rounded inside; each segment's values have digits of their own, and the planner chose its settings."""
    words = ("full-run", "model.onnx", "--proof", "--input", "input.json", "--insecure-srs", "--scale", "6")
    found = machine.data(*words, "--integer")
    assert found["verdict"]["outcome"] == "accepted"  # pyright: ignore[reportIndexIssue]
    assert found["verdict"]["edges"] == 3  # pyright: ignore[reportIndexIssue]
    assert found["error"]["y"] < 0.1  # pyright: ignore[reportIndexIssue]
