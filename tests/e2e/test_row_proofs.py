"""Convolutions divided by rows through ezkl: proved, linked through moved values, verified; forged parts rejected."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from circuit_models import chain, run
from partwise.dsperse import (
    PROOFS,
    CompileResult,
    Layout,
    SlicedRun,
    compile_slices,
    prove_run,
    run_slices,
    slice_model,
    verify_sliced_run,
)
from partwise.verification import Outcome
from partwise.verification.zk import CircuitSettings, Prover, make_prover
from partwise.verification.zk.bundle import Bundle, read_bundle, write_bundle
from partwise.verification.zk.circuits import evaluate, lower
from partwise.verification.zk.compile import open_circuit
from partwise.verification.zk.field import number, quantize
from zk_machine import Machine
from zk_models import own_folders

pytest.importorskip("ezkl")
pytestmark = pytest.mark.slow

DIGITS, LIMIT = 6, 50_000_000
SHAPE = (1, 1, 8, 8)


def two_convolutions() -> bytes:
    """3×3 over 8×8, one channel to two and back."""
    random = np.random.default_rng(5)
    weights = {
        "u": random.normal(size=(2, 1, 3, 3)) / 3,
        "v": random.normal(size=(1, 2, 3, 3)) / 3,
        "b": random.normal(size=2),
    }
    attributes = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [1, 1], "dilations": [1, 1], "group": 1}
    nodes = [
        ("Conv", ["x", "u", "b"], "c", attributes),
        ("Relu", ["c"], "r", {}),
        ("Conv", ["r", "v"], "y", attributes),
    ]
    return chain(SHAPE, nodes, weights)


def request() -> np.ndarray:
    return np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)


@dataclass(frozen=True)
class Divided:
    layout: Layout
    prover: Prover
    compiled: CompileResult
    run: SlicedRun
    inputs: Path

    def judge(self, bundle: Bundle) -> tuple[Outcome, tuple[str, ...]]:
        write_bundle(self.run.path / PROOFS, bundle)
        found = verify_sliced_run(
            self.layout, self.run.path, self.prover, manifest=self.compiled.manifest.digest, inputs=self.inputs
        )
        return found.verdict.outcome, (found.verdict.reason, *found.verdict.notes)


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Generator[Divided]:
    """Compiled under a limit that neither convolution keeps alone, run and proved."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "model.onnx").write_bytes(two_convolutions())
    with own_folders(folder):
        prover = make_prover("ezkl", insecure=True)
        layout, _ = slice_model(folder / "model.onnx", stages=1)
        inputs = folder / "input.json"
        inputs.write_text(json.dumps({"x": request().tolist()}))
        settings = CircuitSettings(scale=DIGITS, integer=True)
        compiled = compile_slices(layout, prover, settings, inputs=inputs, memory_bytes=LIMIT)
        again = compile_slices(layout, prover, settings, inputs=inputs, memory_bytes=LIMIT)
        assert again.manifest.digest == compiled.manifest.digest
        assert all(one.reused for one in again.compiled.values())
        made = run_slices(layout, prover, inputs)
        proved = prove_run(layout, made.path, prover)
        peaks = [one.proof_execution.peak_bytes for one in proved.segments if one.proof_execution]
        assert max(peaks) <= LIMIT, "as measured"
        yield Divided(layout, prover, compiled, made, inputs)


@pytest.fixture
def bundle(divided: Divided) -> Generator[Bundle]:
    """Of the honest proofs, which are put back."""
    honest = read_bundle(divided.run.path / PROOFS)
    yield honest
    write_bundle(divided.run.path / PROOFS, honest)


def test_the_parts_are_proved_linked_and_accepted(divided: Divided, bundle: Bundle) -> None:
    segments = divided.compiled.manifest.segments
    assert sum(segment.circuit is not None for segment in segments) > 3
    assert all(bool(segment.moves) == (segment.circuit is None) for segment in segments)
    takers = [wire.tensor for segment in segments if segment.circuit for wire in segment.inputs]
    assert "x" not in takers, "no circuit reads the whole image"
    outcome, said = divided.judge(bundle)
    assert outcome is Outcome.ACCEPTED, said


def test_the_outputs_are_the_integers_of_the_undivided_circuit(divided: Divided) -> None:
    circuit = lower(two_convolutions(), weight_bits=DIGITS, input_bits=DIGITS)
    values = np.array(quantize(request(), DIGITS, "x"), object).reshape(SHAPE)
    exact = evaluate(circuit, {"x": values})["y"]
    bits = circuit.outputs[0].bits or 0
    assert divided.run.outputs["y"].reshape(-1).tolist() == [int(v) / 2.0**bits for v in exact.reshape(-1)]
    assert np.abs(divided.run.outputs["y"] - run(two_convolutions(), request())).max() < 0.1


@pytest.mark.parametrize("last", [False, True])
def test_a_part_proved_on_other_values_is_rejected(
    divided: Divided, bundle: Bundle, tmp_path: Path, *, last: bool
) -> None:
    """An honest proof of one part on a value that nobody gave: alone it holds, its edge does not."""
    manifest = divided.compiled.manifest
    proved = [n for n, segment in enumerate(manifest.segments) if segment.circuit is not None]
    number_ = proved[-1] if last else proved[0]
    entry, folder = manifest.segments[number_], divided.layout.circuit(number_, "ezkl")
    circuit = open_circuit(folder, entry.onnx, divided.prover)
    assert circuit is not None
    true = json.loads((divided.run.path / f"segment_{number_}" / "witness.json").read_bytes())["inputs"]
    forged = [[number(text) for text in tensor] for tensor in true]
    forged[-1][0] += 3
    witness, proof = tmp_path / "witness.json", tmp_path / "proof.json"
    divided.prover.witness(circuit, folder, tuple(map(tuple, forged)), witness, "forged")
    divided.prover.prove(circuit, folder, witness, proof, "forged")
    other = Bundle(
        manifest=bundle.manifest,
        not_proved=bundle.not_proved,
        proofs={**bundle.proofs, number_: proof.read_bytes()},
        keys=bundle.keys,
    )
    outcome, said = divided.judge(other)
    assert outcome is Outcome.REJECTED
    wanted = "was proved on other values than segment" if last else "was proved on other values than the request"
    assert any(f"segment {number_}" in text and wanted in text for text in said), said
    assert not any("its proof" in text for text in said), "the proof alone holds"


def test_a_claim_of_another_value_in_one_part_is_rejected(divided: Divided, bundle: Bundle, tmp_path: Path) -> None:
    claim = divided.run.outputs["y"].copy()
    claim[0, 0, 5, 2] += 2.0**-18
    path = tmp_path / "claim.json"
    path.write_text(json.dumps({"y": claim.tolist()}))
    write_bundle(divided.run.path / PROOFS, bundle)
    found = verify_sliced_run(
        divided.layout,
        divided.run.path,
        divided.prover,
        manifest=divided.compiled.manifest.digest,
        inputs=divided.inputs,
        claim=path,
    )
    assert found.verdict.outcome is Outcome.REJECTED
    assert "is not what was proved" in found.verdict.reason


def test_full_run_divides_as_compile_does(divided: Divided, tmp_path: Path) -> None:
    machine = Machine(tmp_path, cache=divided.layout.folder / "cache")
    (tmp_path / "model.onnx").write_bytes(two_convolutions())
    (tmp_path / "input.json").write_text(json.dumps({"x": request().tolist()}))
    words = ("full-run", "model.onnx", "--proof", "--input", "input.json", "--insecure-srs", "--json")
    said = json.loads(machine.call(*words, "--integer", "--scale", str(DIGITS), "--memory", "50MB"))
    assert said["verdict"]["outcome"] == "accepted"
    assert [one["witness_execution"]["method"] for one in said["segments"]].count("moved") > 1
    assert "--integer" in machine.call(*words, "--memory", "50MB", code=2)
