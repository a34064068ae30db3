"""Integer mode and the second prover through the whole way: sliced, compiled, run, proved, linked, verified."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from partwise.dsperse import compile_slices, prove_run, run_slices, slice_model, verify_sliced_run
from partwise.dsperse.slice import write_onnx
from partwise.verification import Outcome
from partwise.verification.zk import CircuitSettings, Prover, make_prover
from partwise.verification.zk.choose import choose_chain
from partwise.verification.zk.circuits import evaluate
from partwise.verification.zk.integer_prover import IntegerProver, draw
from zk_models import own_folders, request_file, skip_model

pytest.importorskip("ezkl")


def whole_way(folder: Path, prover: Prover, settings) -> tuple[dict[str, np.ndarray], dict[str, float], str]:
    """Outputs, errors against onnxruntime, and the verdict's outcome."""
    layout, package = slice_model(skip_model(folder / "model.onnx"))
    segments = [write_onnx(layout, package, number).read_bytes() for number in range(len(package.manifest.segments))]
    chosen = settings(segments)
    compiled = compile_slices(layout, prover, chosen)
    run = run_slices(layout, prover, request_file(folder / "input.json"))
    prove_run(layout, run.path, prover)
    found = verify_sliced_run(layout, run.path, prover, manifest=compiled.manifest.digest)
    assert found.verdict.outcome is Outcome.ACCEPTED, found.verdict.reason
    assert found.edges == 3, "two cuts, one of them with a value that goes past a segment"
    return run.outputs, run.result.error, found.verdict.outcome


def test_a_skip_connection_in_integer_mode(tmp_path: Path) -> None:
    """The proved outputs are the exact integers of the rewritten segments, computed here on their own."""
    drawn = list[tuple[bytes, CircuitSettings]]()

    def settings(segments: list[bytes]) -> dict[int, CircuitSettings]:
        chosen = choose_chain(segments, bits=6, largest_input=4.0, most_logrows=9)
        drawn.extend(zip(segments, chosen, strict=True))
        return dict(enumerate(chosen))

    with own_folders(tmp_path):
        outputs, errors, _ = whole_way(tmp_path, IntegerProver(make_prover("ezkl", insecure=True)), settings)
    request = np.array(json.loads((tmp_path / "input.json").read_text())["x"])
    values = {"x": np.copysign(np.floor(np.abs(request) * 64 + 0.5), request).astype(int)}
    for segment, chosen in drawn:
        circuit = draw(segment, chosen)
        values |= evaluate(circuit, values)
    exact = [int(v) / 2.0 ** circuit.outputs[0].bits for v in values["y"].reshape(-1)]
    assert outputs["y"].reshape(-1).tolist() == exact
    assert errors["y"] < 0.1
    assert circuit.outputs[0].bits == 6 + 3 * 6, "nothing is rebased"


def test_the_second_prover_in_the_same_chain(tmp_path: Path) -> None:
    with own_folders(tmp_path):
        prover = make_prover("recompute")
        _, errors, _ = whole_way(tmp_path, prover, lambda _: CircuitSettings(scale=12))
    assert errors["y"] < 0.01


def test_a_forged_middle_activation_is_rejected_under_the_second_prover(tmp_path: Path) -> None:
    """Segment 1 proved honestly, but on another value than segment 0 gave."""
    with own_folders(tmp_path):
        prover = make_prover("recompute")
        layout, package = slice_model(skip_model(tmp_path / "model.onnx"))
        compiled = compile_slices(layout, prover, CircuitSettings(scale=12))
        run = run_slices(layout, prover, request_file(tmp_path / "input.json"))
        here, folder = run.path / "segment_1", layout.circuit(1, prover.name)
        circuit = compiled.compiled[1].circuit
        sizes = compiled.manifest.segments[1].sizes.inputs
        prover.witness(circuit, folder, tuple((5,) * size for size in sizes), here / "witness.json", "segment 1")
        record = json.loads((run.path / "run_result.json").read_text())
        from partwise.digest import file_digest

        record["segments"][1]["witness_execution"]["witness"] = file_digest(here / "witness.json")
        (run.path / "run_result.json").write_text(json.dumps(record))
        prove_run(layout, run.path, prover)
        found = verify_sliced_run(layout, run.path, prover, manifest=compiled.manifest.digest)
    assert package.manifest.segments
    assert found.verdict.outcome is Outcome.REJECTED
    assert "segment 1 was proved on other values than segment 0 gave" in found.verdict.reason
