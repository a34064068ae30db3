"""Attacks on a chain of proofs: each is rejected, and for its own reason."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from partwise.digest import sha256_digest
from partwise.dsperse import PROOFS, verify_archive
from partwise.verification import Outcome
from partwise.verification.zk.bundle import Bundle
from partwise.verification.zk.compile import open_circuit
from partwise.verification.zk.ezkl_call import call_ezkl
from partwise.verification.zk.field import MODULUS, element, number
from partwise.verification.zk.limits import CallLimits
from partwise.verification.zk.manifest import ProofManifest
from proof_attacks import edited, judge, manifest_of, rejected, rewritten, with_proof, with_segment
from zk_models import Proved, own_folders, request_file

pytest.importorskip("ezkl")


def test_the_honest_one_is_accepted(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    verdict = judge(honest, bundle, tmp_path)
    assert verdict.outcome is Outcome.ACCEPTED
    assert any("self-made" in note for note in verdict.notes)


def test_a_forged_middle_activation_names_the_edge(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Segment 2 honestly proved on values that segment 1 never gave; its proof alone holds."""
    layout, prover = honest.layout, honest.prover
    manifest = manifest_of(bundle)
    circuit = open_circuit(layout.circuit(2, "ezkl"), manifest.segments[2].onnx, prover)
    assert circuit is not None
    true = json.loads((honest.run / "segment_2" / "witness.json").read_bytes())["inputs"]
    forged = [[number(text) for text in tensor] for tensor in true]
    at, wire = next((at, w) for at, w in enumerate(manifest.segments[2].inputs) if w.source == 1)
    forged[at][0] += 9
    witness, proof = tmp_path / "witness.json", tmp_path / "proof.json"
    outputs = prover.witness(circuit, layout.circuit(2, "ezkl"), tuple(map(tuple, forged)), witness, "forged")
    prover.prove(circuit, layout.circuit(2, "ezkl"), witness, proof, "forged")
    claim = tmp_path / "claim.json"
    claim.write_text(json.dumps({"y": [[value / 2**5 for value in outputs[0]]]}))
    verdict = judge(honest, with_proof(bundle, 2, proof.read_bytes()), tmp_path, claim=claim)
    rejected(verdict, f"edge 1 → 2, `{wire.tensor}`")
    assert not any("its proof" in text for text in (verdict.reason, *verdict.notes))


def test_a_skip_edge_with_another_tensor_names_it(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    layout, prover, manifest = honest.layout, honest.prover, manifest_of(bundle)
    circuit = open_circuit(layout.circuit(2, "ezkl"), manifest.segments[2].onnx, prover)
    assert circuit is not None
    true = json.loads((honest.run / "segment_2" / "witness.json").read_bytes())["inputs"]
    forged = [tuple(number(text) for text in tensor) for tensor in true]
    wires = [wire.tensor for wire in manifest.segments[2].inputs]
    assert "b" in wires, "the skip connection crosses to the last segment"
    forged[wires.index("b")] = tuple(value + 5 for value in forged[wires.index("b")])
    witness, proof = tmp_path / "witness.json", tmp_path / "proof.json"
    prover.witness(circuit, layout.circuit(2, "ezkl"), tuple(forged), witness, "forged")
    prover.prove(circuit, layout.circuit(2, "ezkl"), witness, proof, "forged")
    verdict = judge(honest, with_proof(bundle, 2, proof.read_bytes()), tmp_path)
    assert verdict.outcome is Outcome.REJECTED
    assert any("`b`" in text and text.startswith("edge") for text in (verdict.reason, *verdict.notes))


def test_a_replayed_proof(honest: Proved, bundle: Bundle, replayed: bytes, tmp_path: Path) -> None:
    rejected(judge(honest, with_proof(bundle, 1, replayed), tmp_path), "edge 0 → 1")


def test_swapped_segments(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    swapped = {0: bundle.proofs[1], 1: bundle.proofs[0], 2: bundle.proofs[2]}
    rejected(judge(honest, replace(bundle, proofs=swapped), tmp_path), "segment 0: its proof")


def test_a_missing_proof(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    kept = {n: proof for n, proof in bundle.proofs.items() if n != 1}
    rejected(judge(honest, replace(bundle, proofs=kept), tmp_path), "segment 1: has no proof")


def test_a_proof_left_out_and_said_so_is_never_accepted(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    kept = {n: proof for n, proof in bundle.proofs.items() if n != 1}
    verdict = judge(honest, replace(bundle, proofs=kept, not_proved=frozenset({1})), tmp_path)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == "segment 1 is not proved"


def test_a_proof_of_no_segment(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    rejected(judge(honest, with_proof(bundle, 3, bundle.proofs[0]), tmp_path), "a proof of segment 3")


def test_padded_and_truncated_proofs(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    def pad(data: dict[str, object]) -> None:
        data["proof"] = f"{data['proof']}00"

    def cut(data: dict[str, object]) -> None:
        data["proof"] = str(data["proof"])[:-2]

    rejected(judge(honest, edited(bundle, 1, pad), tmp_path), "segment 1", "is padded")
    rejected(judge(honest, edited(bundle, 1, cut), tmp_path), "segment 1", "does not verify")


def test_changed_public_values(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    def change(data: dict[str, object]) -> None:
        data["instances"][0] = element(number(data["instances"][0]) + 1)  # pyright: ignore[reportIndexIssue]

    rejected(judge(honest, edited(bundle, 1, change), tmp_path), "segment 1", "does not verify")


def test_fewer_and_more_public_values(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    def fewer(data: dict[str, object]) -> None:
        data["instances"] = data["instances"][:-1]  # pyright: ignore[reportIndexIssue]

    def more(data: dict[str, object]) -> None:
        data["instances"] = [*data["instances"], element(0)]  # pyright: ignore[reportGeneralTypeIssues]

    rejected(judge(honest, edited(bundle, 1, fewer), tmp_path), "segment 1", "public values")
    rejected(judge(honest, edited(bundle, 1, more), tmp_path), "segment 1", "public values")


@pytest.mark.parametrize(
    "text",
    [
        (MODULUS).to_bytes(32, "little").hex(),
        (2**256 - 1).to_bytes(32, "little").hex(),
        "-1",
        "0x" + "00" * 31,
        "00" * 33,
        "FF" + "00" * 31,
        "",
    ],
)
def test_values_that_are_no_field_elements(text: str, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    def change(data: dict[str, object]) -> None:
        data["instances"][0] = text  # pyright: ignore[reportIndexIssue]

    rejected(judge(honest, edited(bundle, 1, change), tmp_path), "segment 1", "no field element")


def test_an_element_and_its_alias_above_the_modulus(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """The same value modulo p, spelled beyond p: one value has one spelling."""

    def change(data: dict[str, object]) -> None:
        true = int.from_bytes(bytes.fromhex(data["instances"][0]), "little")  # pyright: ignore[reportIndexIssue, reportArgumentType]
        data["instances"][0] = (true + MODULUS).to_bytes(32, "little").hex()  # pyright: ignore[reportIndexIssue]

    rejected(judge(honest, edited(bundle, 1, change), tmp_path), "segment 1", "no field element")


@pytest.mark.parametrize(
    "proof",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"instances": 1, "proof": ""}',
        b'{"instances": [], "proof": "zz"}',
        b'{"instances": [], "proof": "00", "hex_proof": "00"}',
        b'{"instances": [], "proof": ' + b'"' + b"0" * 10_000_001 + b'"}',
        b'{"instances": [NaN], "proof": "00"}',
        b"\xff\xfe",
    ],
)
def test_hostile_proof_files(proof: bytes, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    rejected(judge(honest, with_proof(bundle, 1, proof), tmp_path), "segment 1", "its proof")


def test_another_manifest_than_the_pinned(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Whatever it says instead: a segment not to be proved, an edge that starts elsewhere, other keys."""
    bare = rewritten(bundle, lambda m: with_segment(m, 1, circuit=None))
    rejected(judge(honest, bare, tmp_path), "not the pinned", honest.manifest)


def test_a_missing_edge_under_no_pin(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """A manifest whose last segment takes its value from the request: consistent, but nobody pinned it."""

    def loosen(manifest: ProofManifest) -> ProofManifest:
        first, *rest = manifest.segments[2].inputs
        return with_segment(manifest, 2, inputs=(replace(first, source=None, tensor="x"), *rest))

    verdict = judge(honest, rewritten(bundle, loosen), tmp_path, manifest=None)
    assert verdict.outcome is not Outcome.ACCEPTED
    rejected(judge(honest, rewritten(bundle, loosen), tmp_path), "not the pinned")


def test_other_keys_settings_and_srs_under_the_pinned_manifest(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """The bytes of a key are looked up by the pinned digest; others are none."""
    for name in ("vk.key", "settings.json", "verifier.srs"):
        circuit = manifest_of(bundle).segments[1].circuit
        assert circuit is not None
        digest = next(key.digest for key in circuit.keys if key.name == name)
        data = bundle.keys[digest]
        keys = {key: value for key, value in bundle.keys.items() if key != digest}
        swapped = replace(bundle, keys={**keys, sha256_digest(data[:-1]): data[:-1]})
        verdict = judge(honest, swapped, tmp_path)
        assert verdict.outcome is Outcome.REJECTED
        assert f"`{name}` with the pinned digest" in " ".join((verdict.reason, *verdict.notes))


def test_a_key_that_lies_about_its_name(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """An entry named by the pinned digest with other bytes: only what the bytes hash to counts."""
    path = tmp_path / "attack.zip"
    circuit = manifest_of(bundle).segments[1].circuit
    assert circuit is not None
    pinned = circuit.keys[0].digest.removeprefix("sha256:")
    with zipfile.ZipFile(honest.run / PROOFS) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"other" if name == f"keys/{pinned}" else old.read(name))
    verdict = verify_archive(
        path, honest.prover, manifest=honest.manifest, inputs=honest.request, claim=honest.run / "output.json"
    ).verdict
    rejected(verdict, "pinned digest")


def test_another_secret_behind_the_srs(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Under a manifest that pins another SRS, the honest proof of the first does not hold."""
    call_ezkl("gen_srs", "test", CallLimits(), srs_path=tmp_path / "other.srs", logrows=1)
    other = (tmp_path / "other.srs").read_bytes()

    def swap(manifest: ProofManifest) -> ProofManifest:
        circuit = manifest.segments[1].circuit
        assert circuit is not None
        keys = tuple(
            replace(key, digest=sha256_digest(other)) if key.name == "verifier.srs" else key for key in circuit.keys
        )
        return with_segment(manifest, 1, circuit=replace(circuit, keys=keys))

    swapped = rewritten(replace(bundle, keys={**bundle.keys, sha256_digest(other): other}), swap)
    pin = sha256_digest(swapped.manifest)
    rejected(judge(honest, swapped, tmp_path, manifest=pin), "segment 1", "does not verify")


def test_another_segments_verifying_key(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Even a manifest that names another segment's key does not make a proof hold under it."""

    def swap(manifest: ProofManifest) -> ProofManifest:
        first, second = manifest.segments[0].circuit, manifest.segments[2].circuit
        assert first is not None
        assert second is not None
        other = {key.name: key for key in second.keys}
        keys = tuple(other[key.name] if key.name == "vk.key" else key for key in first.keys)
        return with_segment(manifest, 0, circuit=replace(first, keys=keys))

    swapped = rewritten(bundle, swap)
    verdict = judge(honest, swapped, tmp_path, manifest=sha256_digest(swapped.manifest))
    rejected(verdict, "segment 0: its proof")


def test_no_pin_is_inconclusive(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    with own_folders(tmp_path):  # a machine on which nothing was compiled
        verdict = judge(honest, bundle, tmp_path, manifest=None)
    assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, "manifest not pinned")


def test_another_request_and_another_claim(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    other = request_file(tmp_path / "other.json", seed=9)
    rejected(judge(honest, bundle, tmp_path, inputs=other), "segment 0", "`x` was proved on other values")
    claim = json.loads((honest.run / "output.json").read_bytes())
    claim["y"][0][0] += 2**-5
    (tmp_path / "claim.json").write_text(json.dumps(claim))
    rejected(judge(honest, bundle, tmp_path, claim=tmp_path / "claim.json"), "output `y` is not what was proved")


@pytest.mark.parametrize(
    "claim",
    [
        *('{"y": [[0, 0, 0]]}', '{"y": [[0.01, 0, 0, 0]]}', '{"y": [[NaN, 0, 0, 0]]}', '{"y": [[true, 0, 0, 0]]}'),
        *('{"y": [[1e300, 0, 0, 0]]}', '{"y": []}', '{"y": "1"}', '{"z": [[0, 0, 0, 0]]}', "{}", "[]", "[" * 50_000),
    ],
)
def test_hostile_claims(claim: str, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "claim.json").write_text(claim)
    rejected(judge(honest, bundle, tmp_path, claim=tmp_path / "claim.json"))


def test_a_request_is_needed(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    for missing in ("inputs", "claim"):
        verdict = judge(honest, bundle, tmp_path, **{missing: None})
        assert verdict.outcome is Outcome.INCONCLUSIVE
