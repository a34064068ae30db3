"""What the verbs of proofs ask for at a terminal, refuse without one, and find by the folder that they start in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zk_machine import Machine
from zk_models import request_file, skip_model

pytest.importorskip("onnxruntime")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    skip_model(tmp_path / "model.onnx")
    request_file(tmp_path / "input.json")
    return Machine(tmp_path)


def test_full_run_asks_for_what_is_missing(machine: Machine) -> None:
    """Each question with its default; a wrong answer is asked again; the verdict and tables fit 100 columns."""
    screen = machine.at_terminal("full-run", "--proof", "--stages", "1")
    screen.expect("Model [model.onnx]: ")
    screen.type("")
    screen.expect("Prover (ezkl, recompute, command) [ezkl]: ")
    screen.type("recompute")
    screen.expect("Fixed-point bits [7]: ")
    screen.type("many")
    screen.expect("'many' is not a valid integer")
    for number in ("-3", "31"):
        screen.type(number)
        screen.expect(f"{number} is not in the range 0<=x<=30")
    screen.type("12")
    screen.expect("Input file [")
    screen.expect("input.json]: ")
    screen.type("")
    screen.expect("ACCEPTED")
    assert screen.end() == 0
    manifest = json.loads((machine.folder / "slices" / "proof_manifest.json").read_bytes())
    assert (manifest["prover"], manifest["segments"][0]["circuit"]["settings"]["scale"]) == ("recompute", 12)
    assert max(map(len, screen.text.splitlines())) <= 100


@pytest.mark.slow
def test_verb_by_verb_at_a_terminal(machine: Machine) -> None:
    screen = machine.at_terminal("slice")
    screen.expect("Model [model.onnx]: ")
    screen.type("model.onnx")
    screen.expect("Layers of a segment at most [1]: ")
    screen.type("0")
    screen.expect("0 is not in the range x>=1")
    screen.type("3")
    assert screen.end() == 0
    screen = machine.at_terminal("compile", cwd=machine.folder.parent)
    screen.expect("Folder of a sliced model: ")
    screen.type(str(machine.folder))
    screen.expect("Prover (")
    screen.type("recompute")
    screen.expect("Fixed-point bits [7]: ")
    screen.type("")
    assert screen.end() == 0, screen.text
    screen = machine.at_terminal("run", "slices/")
    screen.expect("input.json]: ")
    screen.type("")
    assert screen.end() == 0, screen.text
    assert machine.at_terminal("prove").end() == 0
    screen = machine.at_terminal("verify", cwd=machine.folder.parent)
    screen.expect("Package, run or proofs: ")
    screen.type(str(machine.folder / "run" / "run_1"))
    screen.expect("ACCEPTED")
    assert screen.end() == 0


@pytest.mark.slow
def test_ezkl_asks_how_values_are_shown_and_an_interrupt_leaves_nothing(machine: Machine) -> None:
    machine.call("slice", "model.onnx")
    screen = machine.at_terminal("compile")
    screen.expect("[ezkl]: ")
    screen.type("")
    screen.expect("Fixed-point bits [7]: ")
    screen.type("")
    screen.expect("Values in proofs (public, hashed, polycommit) [public]: ")
    screen.type("\x04")  # Ctrl-D
    screen.expect("interrupted")
    assert screen.end() == 130
    assert not list((machine.folder / "slices").rglob("*ezkl*"))


def test_without_a_terminal_what_is_missing_is_an_error(machine: Machine) -> None:
    assert "Missing argument 'MODEL'" in machine.call("slice", code=2)
    assert "Missing argument 'MODEL'" in machine.call("full-run", "--proof", code=2)
    assert "Missing option '--input'" in machine.call("full-run", "model.onnx", "--proof", code=2)
    assert "partwise slice" in machine.call("compile", code=3)
    assert not (machine.folder / "slices").exists()


@pytest.mark.slow
def test_each_verb_finds_its_context(machine: Machine) -> None:
    slices, run = machine.folder / "slices", machine.folder / "run" / "run_1"
    machine.call("slice", "model.onnx", "--segments", "2")
    machine.call("compile", "--prover", "recompute", cwd=slices / "segment_1")
    machine.call("run", "--input", "../input.json", cwd=slices)
    machine.call("run", "--input", "../input.json", cwd=slices)
    machine.call("prove", "-o", "../../proofs.zip", cwd=run)
    assert (run / "proofs.zip").is_file()
    assert not (run.with_name("run_2") / "proofs.zip").exists(), "the run that it started in, not the newest"
    assert "ACCEPTED" in machine.call("verify", cwd=run / "segment_0")
    assert "has no proofs" in machine.call("verify", cwd=slices, code=3), "the newest run"
    machine.call("run", str(run), cwd=slices)
    assert (run.with_name("run_3") / "input.json").read_bytes() == (run / "input.json").read_bytes()
    found = machine.data("full-run", "--prover", "recompute", "--input", "../../input.json", cwd=run)
    assert found["verdict"]["outcome"] == "accepted"  # pyright: ignore[reportIndexIssue]
