"""Keys and settings from whoever pins nothing: they may not keep the verifier busy, nor pass for others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partwise.digest import canonical_json, sha256_digest
from partwise.dsperse import compile_slices, prove_run, run_slices, slice_model
from partwise.errors import UnsafeFileError
from partwise.extras import require
from partwise.verification import Outcome
from partwise.verification.zk.bundle import Bundle
from partwise.verification.zk.manifest import ProofManifest
from partwise.verification.zk.prover import Sizes
from partwise.verification.zk.recompute.program import read_program
from partwise.verification.zk.recompute.prover import RecomputeProver
from proof_attacks import judge, manifest_of, rejected, rewritten, with_proof, with_segment
from zk_models import SKIP, SKIP_WEIGHTS, TINY, Proved, own_folders, request_file, write_model


def _settings(**changes: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for name, value in changes.items():
            (data["run_args"] if name in data["run_args"] else data)[name] = value

    return change


def _with_settings(bundle: Bundle, change: Callable[[dict[str, Any]], None]) -> Bundle:
    """A bundle whose manifest names other settings of segment 1, and which holds them."""
    circuit = manifest_of(bundle).segments[1].circuit
    assert circuit is not None
    old = next(key.digest for key in circuit.keys if key.name == "settings.json")
    data = json.loads(bundle.keys[old])
    change(data)
    new = json.dumps(data).encode()

    def swap(manifest: ProofManifest) -> ProofManifest:
        keys = tuple(replace(key, digest=sha256_digest(new)) if key.digest == old else key for key in circuit.keys)
        return with_segment(manifest, 1, circuit=replace(circuit, keys=keys))

    return rewritten(replace(bundle, keys={**bundle.keys, sha256_digest(new): new}), swap)


@pytest.mark.parametrize(
    "change",
    [
        _settings(num_inner_cols=10**6),
        _settings(num_inner_cols=1 << 62),
        _settings(num_inner_cols=-1),
        _settings(num_inner_cols=True),
        _settings(total_assignments=1 << 62),
        _settings(total_assignments=-(1 << 62)),
        _settings(total_dynamic_col_size=1 << 62),
        _settings(num_shuffles=1 << 40),
        _settings(logrows=64),
        _settings(logrows=0),
        _settings(lookup_range=[-(1 << 62), 1 << 62]),
        _settings(required_range_checks=[[0, 1 << 62]]),
        _settings(required_range_checks=3),
        _settings(run_args=None),
    ],
)
def test_settings_of_no_circuit(
    change: Callable[[dict[str, Any]], None], honest: Proved, bundle: Bundle, tmp_path: Path
) -> None:
    """ezkl lays out what its settings say: a million columns took longer than a minute, and memory as it went."""
    start = time.monotonic()
    verdict = judge(honest, _with_settings(bundle, change), tmp_path, manifest=None)
    rejected(verdict, "segment 1", "no key or settings")
    assert time.monotonic() - start < 30


def test_settings_that_mix_two_ways_to_show_values(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Outputs hashed where inputs are public: what the proof shows is not what the edges are compared by."""
    for change in (
        _settings(output_visibility="Fixed"),
        _settings(input_visibility="Private"),
        _settings(variables=[]),
    ):
        mixed = _with_settings(bundle, change)
        verdict = judge(honest, mixed, tmp_path, manifest=None)
        assert verdict.outcome is not Outcome.ACCEPTED
        rejected(judge(honest, mixed, tmp_path), "not the pinned")


def test_a_proof_of_the_same_circuit_with_other_weights(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Same shapes, settings and values to begin with; only the weights are another model's."""
    pytest.importorskip("ezkl")
    with own_folders(tmp_path):
        layout, _ = slice_model(write_model(tmp_path / "model.onnx", SKIP, SKIP_WEIGHTS, seed=5))
        compile_slices(layout, honest.prover, TINY, layers=[0])
        run = run_slices(layout, honest.prover, request_file(tmp_path / "input.json")).path
        prove_run(layout, run, honest.prover, layers=[0])
    other = (run / "segment_0" / "proof.json").read_bytes()
    rejected(judge(honest, with_proof(bundle, 0, other), tmp_path), "segment 0", "does not verify")


def test_every_verdict_names_the_self_made_srs(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Rejected, undecided or accepted, with a manifest that calls the file by another name too."""

    def rename(manifest: ProofManifest) -> ProofManifest:
        circuit = manifest.segments[0].circuit
        assert circuit is not None
        keys = tuple(replace(key, name=key.name.replace("verifier.srs", "other.srs")) for key in circuit.keys)
        return with_segment(manifest, 0, circuit=replace(circuit, keys=keys))

    renamed = rewritten(bundle, rename)
    for found in (
        judge(honest, bundle, tmp_path),
        judge(honest, bundle, tmp_path, claim=None),
        judge(honest, with_proof(bundle, 1, b""), tmp_path),
        judge(honest, renamed, tmp_path),
        judge(honest, renamed, tmp_path, manifest=sha256_digest(renamed.manifest)),
        judge(honest, replace(bundle, divided=frozenset({(0,)})), tmp_path),
    ):
        assert any("self-made" in text for text in (found.reason, *found.notes)), found


# The recomputing prover.


def _program(size: int, *, lie: bool = False) -> bytes:
    onnx = require("onnx")
    shape = [1, size]
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, shape) for name in "xy")
    nodes = [onnx.helper.make_node("Add", ["x", "c"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], [onnx.numpy_helper.from_array(np.array([1]), "c")])
    if lie:
        graph.value_info.append(onnx.helper.make_tensor_value_info("c", onnx.TensorProto.INT64, [1 << 36]))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]).SerializeToString()


@pytest.mark.parametrize("queries", [None, 1])
@pytest.mark.parametrize("size", [1 << 36, 1 << 50])
def test_a_circuit_too_large_to_be_meant(size: int, queries: int | None, tmp_path: Path) -> None:
    """A few bytes that describe more values than there is memory for: refused before any is laid out."""
    keys = {"circuit.onnx": tmp_path / "circuit.onnx", "recompute.json": tmp_path / "recompute.json"}
    keys["circuit.onnx"].write_bytes(_program(size))
    keys["recompute.json"].write_bytes(canonical_json({"format": "partwise.recompute/1", "queries": queries}))
    proof = b'{"format":"partwise.recompute/1","root":"%s","leaves":{},"paths":{}}' % (b"0" * 64)
    start = time.monotonic()
    found = RecomputeProver().check(keys, Sizes(inputs=(size,), outputs=(size,)), proof, "segment 0")
    assert found.boundary is None
    assert "as many leaves" in found.refused
    assert time.monotonic() - start < 10


def test_a_constant_of_a_stated_size(tmp_path: Path) -> None:
    """Beside its data stands another shape: refused, and never laid out."""
    keys = {"circuit.onnx": tmp_path / "circuit.onnx", "recompute.json": tmp_path / "recompute.json"}
    keys["circuit.onnx"].write_bytes(_program(4, lie=True))
    keys["recompute.json"].write_bytes(canonical_json({"format": "partwise.recompute/1", "queries": None}))
    found = RecomputeProver().check(keys, Sizes(inputs=(4,), outputs=(4,)), b"{}", "segment 0")
    assert found.boundary is None


@pytest.mark.parametrize("location", ["secret.bin", "./secret.bin", "missing", "../secret.bin", "/dev/zero"])
def test_a_circuit_that_reads_the_verifiers_files(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its constant was read from the folder that `verify` was called in, so that the verdict told what lies there."""
    onnx = require("onnx")
    monkeypatch.chdir(tmp_path)
    np.array([1], np.int64).tofile(tmp_path / "secret.bin")
    model = onnx.load_from_string(_program(4))
    held = model.graph.initializer[0]
    held.ClearField("raw_data")
    held.data_location = onnx.TensorProto.EXTERNAL
    held.external_data.add(key="location", value=location)
    with pytest.raises(UnsafeFileError, match="weights in another file"):
        read_program(model.SerializeToString())
    keys = {"circuit.onnx": tmp_path / "circuit.onnx", "recompute.json": tmp_path / "recompute.json"}
    keys["circuit.onnx"].write_bytes(model.SerializeToString())
    keys["recompute.json"].write_bytes(canonical_json({"format": "partwise.recompute/1", "queries": None}))
    found = RecomputeProver().check(keys, Sizes(inputs=(4,), outputs=(4,)), b"{}", "segment 0")
    assert "another file" in found.refused
