"""A small feed-forward block through ezkl: Gelu, LayerNormalization and exact divisions proved, linked and verified."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from circuit_models import feed_forward
from partwise.dsperse import Layout, SlicedRun, compile_slices, prove_run, run_slices, slice_model, verify_sliced_run
from partwise.dsperse.slice import write_onnx
from partwise.errors import PartwiseError
from partwise.packaging import Package
from partwise.verification import Outcome
from partwise.verification.zk import CircuitSettings, Prover, make_prover
from partwise.verification.zk.circuits import evaluate, lower
from partwise.verification.zk.circuits.split_hidden import split_hidden
from partwise.verification.zk.field import quantize
from zk_models import own_folders

pytest.importorskip("ezkl")
DIGITS = 10


@dataclass(frozen=True)
class Block:
    layout: Layout
    package: Package
    prover: Prover
    pin: str
    run: SlicedRun


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Generator[Block]:
    """In three segments, compiled and run."""
    folder = tmp_path_factory.mktemp("block")
    (folder / "model.onnx").write_bytes(split_hidden(feed_forward(), "up", "down", 2))
    with own_folders(folder):
        prover = make_prover("ezkl", insecure=True)
        layout, package = slice_model(folder / "model.onnx", stages=3)
        request = asked(folder / "input.json", 1.0)
        compiled = compile_slices(layout, prover, CircuitSettings(scale=DIGITS, integer=True), inputs=request)
        run = run_slices(layout, prover, request)
        yield Block(layout, package, prover, compiled.manifest.digest, run)


def asked(path: Path, size: float) -> Path:
    x = np.random.default_rng(3).normal(size=(1, 8)).astype(np.float32) * np.float32(size)
    path.write_text(json.dumps({"x": x.tolist()}))
    return path


def test_the_provers_integers_are_the_exact_ones(block: Block) -> None:
    request = np.array(json.loads((block.run.path / "input.json").read_text())["x"])
    values = {"x": np.array(quantize(request, DIGITS, "x"), object).reshape(request.shape)}
    digits = {"x": DIGITS}
    for number in range(len(block.package.manifest.segments)):
        onnx = write_onnx(block.layout, block.package, number)
        circuit = lower(onnx.read_bytes(), weight_bits=DIGITS, input_bits=digits)
        values |= evaluate(circuit, values)
        digits |= {port.name: port.bits or 0 for port in circuit.outputs}
    assert block.run.outputs["y"].reshape(-1).tolist() == [int(v) / 2.0 ** digits["y"] for v in values["y"].reshape(-1)]
    assert digits["y"] == 12, "what leaves a normalization has its digits"
    assert block.run.result.error["y"] < 0.02


def test_a_block_is_proved_linked_and_verified(block: Block) -> None:
    prove_run(block.layout, block.run.path, block.prover)
    found = verify_sliced_run(block.layout, block.run.path, block.prover, manifest=block.pin)
    assert found.verdict.outcome is Outcome.ACCEPTED, found.verdict.reason
    assert found.edges >= 2


def test_a_deviation_out_of_the_table_leaves_no_run(block: Block, tmp_path: Path) -> None:
    before = sorted(block.layout.runs.iterdir())
    with pytest.raises(PartwiseError):
        run_slices(block.layout, block.prover, asked(tmp_path / "input.json", 40.0))
    assert sorted(block.layout.runs.iterdir()) == before


@pytest.mark.slow
def test_a_segment_that_needs_too_much_is_divided_proved_and_linked(tmp_path: Path) -> None:
    """Nobody says in how many parts: the limit does. A second call finds everything there."""
    (tmp_path / "model.onnx").write_bytes(feed_forward(16, 48))
    limit, settings = 125_000_000, CircuitSettings(scale=DIGITS, integer=True)
    with own_folders(tmp_path):
        prover = make_prover("ezkl", insecure=True)
        layout, _ = slice_model(tmp_path / "model.onnx", stages=1)
        x = np.random.default_rng(3).normal(size=(1, 16)).astype(np.float32)
        request = tmp_path / "input.npz"
        np.savez(request, x=x)
        compiled = compile_slices(layout, prover, settings, inputs=request, memory_bytes=limit)
        assert len(compiled.manifest.segments) > 1
        again = compile_slices(layout, prover, settings, inputs=request, memory_bytes=limit)
        assert again.manifest.digest == compiled.manifest.digest
        assert all(made.reused for made in again.compiled.values())
        run = run_slices(layout, prover, request)
        proved = prove_run(layout, run.path, prover)
        found = verify_sliced_run(layout, run.path, prover, manifest=compiled.manifest.digest, inputs=request)
    assert found.verdict.outcome is Outcome.ACCEPTED, found.verdict.reason
    assert run.result.error["y"] < 0.02
    peaks = [segment.proof_execution.peak_bytes for segment in proved.segments if segment.proof_execution]
    assert max(peaks) <= limit
    assert json.loads(layout.metadata.read_text())["segments"][-1]["dependencies"]["output"] == ["y"]
