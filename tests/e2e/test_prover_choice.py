"""Provers chosen on the command line: recorded in the manifest, verified by the same kind, and what each promises."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from zk_machine import Machine
from zk_models import request_file, skip_model

pytest.importorskip("onnxruntime")

PROGRAM = [sys.executable, "-W", "ignore", "-m", "partwise.verification.zk.recompute"]
STEPS = {
    "setup": ["{segment}", "{settings}", "{folder}"],
    "witness": ["{folder}", "{inputs}", "{witness}", "{outputs}"],
    "prove": ["{folder}", "{witness}", "{proof}"],
    "verify": ["{keys}", "{sizes}", "{proof}", "{finding}"],
}
ENDS = ("--input", "input.json", "--claim", "output.json")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    skip_model(tmp_path / "model.onnx")
    request_file(tmp_path / "input.json")
    return Machine(tmp_path)


def other_machine(machine: Machine) -> Machine:
    """Another one, with the proofs, the request and the claim."""
    other = Machine(machine.folder / "other")
    other.folder.mkdir()
    for name in ("proofs.zip", "input.json", "run/run_1/output.json"):
        shutil.copy(machine.folder / name, other.folder)
    return other


def templates(path: Path, steps: dict[str, list[str]] | None = None) -> Path:
    """The recomputing prover as a program of the user's, TOML or YAML."""
    lists = {step: json.dumps([*PROGRAM, step, *rest]) for step, rest in (steps or STEPS).items()}
    sign = " =" if path.suffix == ".toml" else ":"
    path.write_text("\n".join([f'version{sign} "mine/1"', *(f"{step}{sign} {text}" for step, text in lists.items())]))
    return path


def test_recompute_from_compile_to_another_machine(machine: Machine) -> None:
    machine.call("slice", "model.onnx", "--segments", "1")
    pin = str(machine.data("compile", "--prover", "recompute", "--scale", "12")["manifest"])
    assert json.loads((machine.folder / "slices" / "proof_manifest.json").read_bytes())["prover"] == "recompute"
    machine.call("run", "slices/", "--input", "input.json", "--max-error", "0.01")
    machine.call("prove", "-o", "proofs.zip")
    found = other_machine(machine).data("verify", "proofs.zip", "--manifest", pin, *ENDS)
    assert found["outcome"] == "accepted"
    assert any("not zero-knowledge" in note for note in found["notes"])  # pyright: ignore[reportGeneralTypeIssues]


@pytest.mark.slow
def test_a_spot_check_is_never_accepted_and_says_how_much_it_shows(machine: Machine) -> None:
    words = ("full-run", "model.onnx", "--proof", "--input", "input.json", "--scale", "12")
    verdict = machine.data(*words, "--prover", "recompute", "--queries", "1", code=1)["verdict"]
    assert verdict["outcome"] == "inconclusive"  # pyright: ignore[reportIndexIssue]
    assert "segment 0: only 1 of its" in verdict["reason"]  # pyright: ignore[reportIndexIssue]
    again = machine.data(*words, "--prover", "recompute")["verdict"]
    assert again["outcome"] == "accepted"  # pyright: ignore[reportIndexIssue]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prover.toml", "prover.yaml"])
def test_a_program_as_prover(name: str, machine: Machine) -> None:
    path = str(templates(machine.folder / name))
    machine.call("slice", "model.onnx", "--segments", "2")
    pin = str(machine.data("compile", "--prover", "command", "--templates", path, "--scale", "12")["manifest"])
    assert "--templates" in machine.call("run", "slices/", "--input", "input.json", code=3)
    machine.call("run", "slices/", "--input", "input.json", "--templates", path)
    machine.call("prove", "-o", "proofs.zip", "--templates", path)
    other = other_machine(machine)
    words = ("verify", "proofs.zip", "--manifest", pin, *ENDS)
    assert "--templates" in other.call(*words, code=3), "no file from elsewhere names a program"
    found = other.data(*words, "--templates", path)
    assert found["outcome"] == "accepted"
    assert any("not zero-knowledge" in note for note in found["notes"])  # pyright: ignore[reportGeneralTypeIssues]
    newer = templates(machine.folder / f"newer.{name}")
    newer.write_text(newer.read_text().replace("mine/1", "mine/2"))
    found = other.data(*words, "--templates", str(newer), code=1)
    assert (found["outcome"], found["reason"]) == (
        "inconclusive",
        "the proofs are of command mine/1, here is command mine/2",
    )
    assert [s["state"] for s in found["segments"]] == ["not checked"] * 2  # pyright: ignore[reportGeneralTypeIssues]


@pytest.mark.slow
def test_mistakes_about_provers(machine: Machine) -> None:
    machine.call("slice", "model.onnx", "--segments", "1")
    recompute = ("compile", "--prover", "recompute")
    assert "--insecure-srs is not for" in machine.call(*recompute, "--insecure-srs", code=2)
    assert "--integer is not for" in machine.call(*recompute, "--integer", code=2)
    assert "--queries is not for" in machine.call("compile", "--prover", "ezkl", "--queries", "3", code=2)
    assert "cannot hide its values" in machine.call(*recompute, "--visibility", "hashed", code=3)
    assert "--templates" in machine.call("compile", "--prover", "command", code=3)
    assert "cannot be read" in machine.call("compile", "--prover", "command", "--templates", "none.toml", code=3)
    for text, word in (("", "version"), ("version = 1", "version"), ("{", "templates")):
        (machine.folder / "bad.toml").write_text(text)
        assert word in machine.call("compile", "--prover", "command", "--templates", "bad.toml", code=3)
    bad = templates(machine.folder / "bad.toml", STEPS | {"prove": ["{folder}", "{proof}"]})
    assert "other placeholders" in machine.call("compile", "--prover", "command", "--templates", str(bad), code=3)
    missing = templates(machine.folder / "missing.toml")
    missing.write_text(missing.read_text().replace(sys.executable, "/no/such/program"))
    said = machine.call("compile", "--prover", "command", "--templates", str(missing), code=7)
    assert "cannot be run (No such file or directory)" in said
    assert not list(machine.folder.rglob(".command.*")), "nothing half-written is left"
    machine.call(*recompute)
    said = machine.call("prove", "--prover", "ezkl", code=3)
    assert "expected recompute" in said
    assert "took too long" in machine.call(*recompute, "--scale", "9", "--time-limit", "0.001", code=7)
    assert "--memory-limit" in machine.call(*recompute, "--scale", "9", "--memory-limit", "40MB", code=7)
