"""Integer mode and the second prover through the whole way: sliced, compiled, run, proved, linked, verified."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from partwise.dsperse import Layout, SlicedRun, compile_slices, prove_run, run_slices, slice_model, verify_sliced_run
from partwise.dsperse.slice import write_onnx
from partwise.dsperse.tensors import write_tensors
from partwise.errors import ProverError
from partwise.packaging import Package
from partwise.verification import Outcome
from partwise.verification.zk import CircuitSettings, Prover, make_prover
from partwise.verification.zk.circuits import evaluate, lower
from partwise.verification.zk.field import dequantize, quantize
from zk_models import own_folders, request_file, skip_model

pytest.importorskip("ezkl")


def whole_way(folder: Path, prover: Prover, settings: CircuitSettings) -> tuple[Layout, Package, SlicedRun]:
    """Sliced, compiled, run, proved and accepted."""
    layout, package = slice_model(skip_model(folder / "model.onnx"))
    compiled = compile_slices(layout, prover, settings)
    run = run_slices(layout, prover, request_file(folder / "input.json"))
    prove_run(layout, run.path, prover)
    found = verify_sliced_run(layout, run.path, prover, manifest=compiled.manifest.digest)
    assert found.verdict.outcome is Outcome.ACCEPTED, found.verdict.reason
    assert found.edges == 3, "two cuts, one of them with a value that goes past a segment"
    return layout, package, run


def test_a_skip_connection_in_integer_mode(tmp_path: Path) -> None:
    """The proved outputs are the exact integers of the rewritten segments, computed here on their own."""
    with own_folders(tmp_path):
        prover = make_prover("ezkl", insecure=True)
        layout, package, run = whole_way(tmp_path, prover, CircuitSettings(scale=6, integer=True))
        segments = [write_onnx(layout, package, number) for number in range(len(package.manifest.segments))]
    request = np.array(json.loads((tmp_path / "input.json").read_text())["x"])
    values = {"x": np.array(quantize(request, 6, "x"), object).reshape(request.shape)}
    digits = {"x": 6}
    for segment in segments:
        circuit = lower(segment.read_bytes(), weight_bits=6, input_bits=digits)
        values |= evaluate(circuit, values)
        digits |= {port.name: port.bits for port in circuit.outputs}
    assert run.outputs["y"].reshape(-1).tolist() == [int(v) / 2.0 ** digits["y"] for v in values["y"].reshape(-1)]
    assert digits["y"] == 6 + 3 * 6, "nothing is rebased"
    assert run.result.error["y"] < 0.1


def test_the_second_prover_in_the_same_chain(tmp_path: Path) -> None:
    with own_folders(tmp_path):
        prover = make_prover("recompute")
        _, _, run = whole_way(tmp_path, prover, CircuitSettings(scale=12))
    assert run.result.error["y"] < 0.01


def test_a_forged_middle_activation_is_rejected_under_the_second_prover(tmp_path: Path) -> None:
    """Segment 1 proved honestly, but on another value than segment 0 gave."""
    with own_folders(tmp_path):
        prover = make_prover("recompute")
        layout, package = slice_model(skip_model(tmp_path / "model.onnx"))
        compiled = compile_slices(layout, prover, CircuitSettings(scale=12))
        run = run_slices(layout, prover, request_file(tmp_path / "input.json"))
        here, folder = run.path / "segment_1", layout.circuit(1, prover.name)
        circuit = compiled.compiled[1].circuit
        entry = compiled.manifest.segments[1]
        given = tuple((5,) * size for size in entry.sizes.inputs)
        gave = prover.witness(circuit, folder, given, here / "witness.json", "segment 1")
        record = json.loads((run.path / "run_result.json").read_text())
        from partwise.digest import file_digest

        record["segments"][1]["witness_execution"]["witness"] = file_digest(here / "witness.json")
        (run.path / "run_result.json").write_text(json.dumps(record))
        with pytest.raises(ProverError, match="other values than those of the run"):
            prove_run(layout, run.path, prover)
        for name, wires, side in (("input", entry.inputs, given), ("output", entry.outputs, gave)):
            told = {wire.tensor: dequantize(v, 12, wire.shape) for wire, v in zip(wires, side, strict=True)}
            write_tensors(here / f"{name}.json", told)
        prove_run(layout, run.path, prover)
        found = verify_sliced_run(layout, run.path, prover, manifest=compiled.manifest.digest)
    assert package.manifest.segments
    assert found.verdict.outcome is Outcome.REJECTED
    assert "segment 1 was proved on other values than segment 0 gave" in found.verdict.reason
