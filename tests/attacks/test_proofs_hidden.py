"""Attacks on proofs that hide their values in commitments or hashes: equal marks are all that an edge has."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from partwise.dsperse import PROOFS, compile_slices, prove_run, run_slices, slice_model
from partwise.verification import Outcome
from partwise.verification.zk import Visibility, make_prover
from partwise.verification.zk.bundle import Bundle, read_bundle
from partwise.verification.zk.compile import open_circuit
from partwise.verification.zk.field import number
from proof_attacks import edited, judge, manifest_of, rejected, with_proof
from zk_models import TINY, Proved, own_folders, request_file, skip_model

pytest.importorskip("ezkl")

_POINT = 128
"""Hex digits of a commitment at the head of a proof."""


@dataclass(frozen=True)
class Hidden:
    """A proved run whose proofs hide what crosses."""

    honest: Proved
    bundle: Bundle
    replayed: bytes
    """An honest proof of segment 1 for another request."""
    forged: bytes
    """An honest proof of segment 2 on its two inputs exchanged."""


@pytest.fixture(scope="module", params=[Visibility.POLYCOMMIT, pytest.param(Visibility.HASHED, marks=pytest.mark.slow)])
def hidden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Hidden]:
    folder = tmp_path_factory.mktemp("hidden")
    with own_folders(folder):
        prover = make_prover("ezkl", insecure=True)
        layout, _ = slice_model(skip_model(folder / "model.onnx"))
        manifest = compile_slices(layout, prover, replace(TINY, visibility=request.param)).manifest
        run, other = (run_slices(layout, prover, request_file(folder / f"{seed}.json", seed)).path for seed in (1, 7))
        prove_run(layout, run, prover)
        prove_run(layout, other, prover, layers=[1])
        circuit = open_circuit(layout.circuit(2, "ezkl"), manifest.segments[2].onnx, prover)
        assert circuit is not None
        told = json.loads((run / "segment_2" / "witness.json").read_bytes())["inputs"]
        values = tuple(tuple(number(text) for text in tensor) for tensor in reversed(told))
        witness, proof = folder / "witness.json", folder / "proof.json"
        prover.witness(circuit, layout.circuit(2, "ezkl"), values, witness, "forged")
        prover.prove(circuit, layout.circuit(2, "ezkl"), witness, proof, "forged")
        yield Hidden(
            honest=Proved(layout=layout, run=run, request=folder / "1.json", manifest=manifest.digest, prover=prover),
            bundle=read_bundle(run / PROOFS),
            replayed=(other / "segment_1" / "proof.json").read_bytes(),
            forged=proof.read_bytes(),
        )


def test_the_honest_one_shows_no_value_and_is_accepted(hidden: Hidden, tmp_path: Path) -> None:
    assert judge(hidden.honest, hidden.bundle, tmp_path).outcome is Outcome.ACCEPTED
    told = json.loads((hidden.honest.run / "segment_2" / "witness.json").read_bytes())
    values = {text for side in ("inputs", "outputs") for tensor in told[side] for text in tensor if number(text)}
    assert values
    for proof in hidden.bundle.proofs.values():
        assert not values & set(json.loads(proof)["instances"])


def test_a_replayed_proof_and_exchanged_inputs_break_their_edges(hidden: Hidden, tmp_path: Path) -> None:
    """Each verifies alone, under its own pinned key."""
    honest, bundle = hidden.honest, hidden.bundle
    replayed = judge(honest, with_proof(bundle, 1, hidden.replayed), tmp_path)
    rejected(replayed, "edge 0 → 1")
    exchanged = judge(honest, with_proof(bundle, 2, hidden.forged), tmp_path)
    assert exchanged.outcome is Outcome.REJECTED
    broken = [text for text in (exchanged.reason, *exchanged.notes) if text.startswith("edge")]
    wires = manifest_of(bundle).segments[2].inputs
    assert len(broken) == len(wires) == 2
    for found in (replayed, exchanged):
        assert not any("its proof" in text for text in (found.reason, *found.notes))


def test_marks_put_right_by_hand_do_not_verify(hidden: Hidden, tmp_path: Path) -> None:
    """The forger writes into the proof what the edge wants to see."""
    honest, bundle = hidden.honest, with_proof(hidden.bundle, 2, hidden.forged)

    def exchange(proof: dict[str, object]) -> None:
        instances, data = proof["instances"], str(proof["proof"])
        assert isinstance(instances, list)
        if instances:
            proof["instances"] = [instances[1], instances[0], *instances[2:]]
        else:
            proof["proof"] = data[_POINT : 2 * _POINT] + data[:_POINT] + data[2 * _POINT :]

    rejected(judge(honest, edited(bundle, 2, exchange), tmp_path), "segment 2", "does not verify")


def test_other_ends_are_found_out(hidden: Hidden, tmp_path: Path) -> None:
    """One unit more in the answer, or in the request."""
    honest = hidden.honest
    claim = json.loads((honest.run / "output.json").read_bytes())
    claim["y"][0][0] += 2**-5
    (tmp_path / "claim.json").write_text(json.dumps(claim))
    rejected(judge(honest, hidden.bundle, tmp_path, claim=tmp_path / "claim.json"), "output `y` is not what was proved")
    asked = json.loads(honest.request.read_bytes())
    asked["x"][0][3] += 2**-5
    (tmp_path / "input.json").write_text(json.dumps(asked))
    rejected(judge(honest, hidden.bundle, tmp_path, inputs=tmp_path / "input.json"), "input `x`", "other values")


def test_where_the_verifier_cannot_compute_a_mark_nothing_is_accepted(hidden: Hidden, tmp_path: Path) -> None:
    """Commitments need the whole SRS: on another machine, without it, the ends stay open."""
    with own_folders(tmp_path / "elsewhere"):
        found = judge(hidden.honest, hidden.bundle, tmp_path)
        wrong = judge(hidden.honest, with_proof(hidden.bundle, 1, hidden.replayed), tmp_path)
    hashed = bool(json.loads(hidden.bundle.proofs[0])["instances"])
    assert found.outcome is (Outcome.ACCEPTED if hashed else Outcome.INCONCLUSIVE)
    assert hashed or "SRS is not in this machine's cache" in found.reason
    rejected(wrong, "edge 0 → 1")
