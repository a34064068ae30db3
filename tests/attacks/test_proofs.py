"""Attacks on a chain of proofs: each is rejected, and for its own reason."""

from __future__ import annotations

import json
import re
import stat
import time
import zipfile
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from partwise.digest import canonical_json, sha256_digest
from partwise.dsperse import (
    PROOFS,
    compile_slices,
    prove_run,
    run_slices,
    slice_model,
    verify_archive,
    verify_sliced_run,
)
from partwise.packaging import open_package
from partwise.verification import Outcome, Verdict
from partwise.verification.zk import make_prover
from partwise.verification.zk.bundle import Bundle, read_bundle, write_bundle
from partwise.verification.zk.compile import open_circuit
from partwise.verification.zk.ezkl_call import call_ezkl
from partwise.verification.zk.field import MODULUS, element, number
from partwise.verification.zk.limits import CallLimits
from partwise.verification.zk.manifest import ProofManifest, proof_manifest_from_bytes, proof_manifest_to_bytes
from zk_models import TINY, Proved, own_folders, proved, request_file, skip_model

pytest.importorskip("ezkl")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Generator[Proved]:
    """A proved run, made once."""
    folder = tmp_path_factory.mktemp("honest")
    with own_folders(folder):
        yield proved(folder)


@pytest.fixture(scope="module")
def bundle(honest: Proved) -> Bundle:
    return read_bundle(honest.run / PROOFS)


@pytest.fixture(scope="module")
def replayed(honest: Proved, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An honest proof of segment 1 for another request."""
    other = request_file(tmp_path_factory.mktemp("other") / "input.json", seed=7)
    run = run_slices(honest.layout, honest.prover, other).path
    prove_run(honest.layout, run, honest.prover, layers=[1])
    return (run / "segment_1" / "proof.json").read_bytes()


def judge(honest: Proved, bundle: Bundle, tmp_path: Path, **given: object) -> Verdict:
    """The verdict of another machine's client, who pins the manifest and knows request and claim."""
    path = tmp_path / "attack.zip"
    write_bundle(path, bundle)
    known = {"manifest": honest.manifest, "inputs": honest.request, "claim": honest.run / "output.json"}
    return verify_archive(path, honest.prover, **(known | given)).verdict  # pyright: ignore[reportArgumentType]


def with_proof(bundle: Bundle, segment: int, proof: bytes) -> Bundle:
    return replace(bundle, proofs={**bundle.proofs, segment: proof})


def edited(bundle: Bundle, segment: int, edit: Callable[[dict[str, object]], None]) -> Bundle:
    data = json.loads(bundle.proofs[segment])
    edit(data)
    return with_proof(bundle, segment, canonical_json(data))


def rejected(verdict: Verdict, *words: str) -> None:
    """Rejected for a reason with these words."""
    assert verdict.outcome is Outcome.REJECTED, verdict
    assert all(word in verdict.reason for word in words), verdict.reason


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


def manifest_of(bundle: Bundle) -> ProofManifest:
    return proof_manifest_from_bytes(bundle.manifest, "test")


def rewritten(bundle: Bundle, change: Callable[[ProofManifest], ProofManifest]) -> Bundle:
    return replace(bundle, manifest=proof_manifest_to_bytes(change(manifest_of(bundle))))


def with_segment(manifest: ProofManifest, at: int, **changes: object) -> ProofManifest:
    segments = list(manifest.segments)
    segments[at] = replace(segments[at], **changes)  # pyright: ignore[reportArgumentType]
    return replace(manifest, segments=tuple(segments))


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


@pytest.mark.parametrize(
    "manifest",
    [b"", b"{}", b"[" * 100_000, b'{"version": "partwise.proof/2"}', b"\xff", b"null"],
)
def test_hostile_manifests(manifest: bytes, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    rejected(judge(honest, replace(bundle, manifest=manifest), tmp_path), "manifest")


def test_paths_that_lie(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Names in the archive and in the run's record choose nothing on disk."""
    path = tmp_path / "attack.zip"
    write_bundle(path, bundle)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../escaped", b"x")
    known = {"manifest": honest.manifest, "inputs": honest.request, "claim": honest.run / "output.json"}
    rejected(verify_archive(path, honest.prover, **known).verdict, "belongs to no proof")
    assert not (tmp_path.parent.parent / "escaped").exists()


def test_an_entry_twice(honest: Proved, bundle: Bundle, replayed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "attack.zip"
    write_bundle(path, bundle)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("proofs/segment_1", replayed)
    known = {"manifest": honest.manifest, "inputs": honest.request, "claim": honest.run / "output.json"}
    rejected(verify_archive(path, honest.prover, **known).verdict, "twice")


def test_no_archive_at_all(honest: Proved, tmp_path: Path) -> None:
    for data in (b"", b"PK", (honest.run / PROOFS).read_bytes()[:500]):
        (tmp_path / "attack.zip").write_bytes(data)
        rejected(verify_archive(tmp_path / "attack.zip", honest.prover, manifest=honest.manifest).verdict, "archive")


def test_a_run_folder_that_claims_to_be_verified(honest: Proved, bundle: Bundle) -> None:
    """The record of a run is a note; the verdict comes from the proofs and this machine's pin."""
    record = honest.run / "run_result.json"
    before, proofs = record.read_bytes(), (honest.run / PROOFS).read_bytes()
    try:
        data = json.loads(before)
        data["verdict"], data["package"] = "accepted", "/etc/passwd"
        record.write_bytes(canonical_json(data))
        write_bundle(honest.run / PROOFS, with_proof(bundle, 1, bundle.proofs[0]))
        found = verify_sliced_run(honest.layout, honest.run, honest.prover)
        rejected(found.verdict, "segment 1: its proof")
        assert json.loads(record.read_bytes())["verdict"] == "rejected"
    finally:
        record.write_bytes(before)
        (honest.run / PROOFS).write_bytes(proofs)


def test_circuits_that_somebody_else_made_are_not_pinned(honest: Proved, tmp_path: Path) -> None:
    """A folder given by the prover, keys included: compile makes its own, it never pins what it found."""
    from partwise.dsperse.compile import _manifest  # pyright: ignore[reportPrivateUsage]

    with own_folders(tmp_path):  # a machine on which nothing was compiled
        package = open_package(honest.layout.package)
        manifest = _manifest(honest.layout, package, honest.prover)
    assert [segment.circuit for segment in manifest.segments] == [None, None, None]


def test_every_record_survives_its_json(bundle: Bundle) -> None:
    manifest = manifest_of(bundle)
    assert proof_manifest_from_bytes(proof_manifest_to_bytes(manifest), "again") == manifest
    assert msgspec.to_builtins(manifest)["version"] == "partwise.proof/1"


def raw_judge(honest: Proved, path: Path, **given: object) -> Verdict:
    """The same of a file that no `write_bundle` writes."""
    known = {"manifest": honest.manifest, "inputs": honest.request, "claim": honest.run / "output.json"}
    return verify_archive(path, honest.prover, **(known | given)).verdict  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "start", [b'{"rows":1,', b'{"version":"partwise.proof/1",', b'{"segments":[],', b"{ ", b'{"x":0,']
)
def test_manifests_of_two_spellings(start: bytes, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Fields twice (the last would count), unknown or spaced: what is pinned has one spelling."""
    twice = replace(bundle, manifest=start + bundle.manifest[1:])
    rejected(judge(honest, twice, tmp_path), "manifest", "canonical JSON")


@pytest.mark.parametrize("start", [b'{"instances":[],', b'{"proof":"00",', b"{ "])
def test_proofs_of_two_spellings(start: bytes, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    twice = start + bundle.proofs[1][1:]
    rejected(judge(honest, with_proof(bundle, 1, twice), tmp_path), "segment 1", "written in another way")


def test_a_claim_that_says_two_things(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """One reader takes the first value of a name, another the last."""
    true = (honest.run / "output.json").read_text()
    (tmp_path / "claim.json").write_text('{"y":[[9,9,9,9]],' + true[1:])
    rejected(judge(honest, bundle, tmp_path, claim=tmp_path / "claim.json"), "claim", "stands twice")


@pytest.mark.parametrize("digits", [400, 5000])
def test_absurdly_large_numbers(digits: int, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    number_ = "9" * digits
    (tmp_path / "claim.json").write_text(f'{{"y": [[{number_}, 0, 0, 0]]}}')
    rejected(judge(honest, bundle, tmp_path, claim=tmp_path / "claim.json"), "claim")
    (tmp_path / "claim.json").write_text(f'{{"y": [[1e{digits}, 0, 0, 0]]}}')
    rejected(judge(honest, bundle, tmp_path, claim=tmp_path / "claim.json"), "claim")
    for field in ("rows", "scale", "size"):
        text = re.sub(rf'"{field}":\d+', f'"{field}":{number_}', bundle.manifest.decode())
        rejected(judge(honest, replace(bundle, manifest=text.encode()), tmp_path), "manifest")
    proof = re.sub(r'"proof":"\w+"', f'"proof":{number_}', bundle.proofs[1].decode())
    rejected(judge(honest, with_proof(bundle, 1, proof.encode()), tmp_path), "segment 1", "is no proof")


def test_a_claim_with_more_or_fewer_tensors(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    true = json.loads((honest.run / "output.json").read_bytes())
    (tmp_path / "claim.json").write_text(json.dumps(true | {"z": [[0]]}))
    rejected(judge(honest, bundle, tmp_path, claim=tmp_path / "claim.json"), "output `z`: is no output")
    (tmp_path / "claim.json").write_text("{}")
    rejected(judge(honest, bundle, tmp_path, claim=tmp_path / "claim.json"), "output `y`: is missing")


def test_a_claim_that_would_round_to_what_was_proved(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    claim = json.loads((honest.run / "output.json").read_bytes())
    claim["y"][0][0] += 1e-9
    (tmp_path / "claim.json").write_text(json.dumps(claim))
    rejected(judge(honest, bundle, tmp_path, claim=tmp_path / "claim.json"), "no multiple of 2^-")


def test_segments_in_another_order(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """A manifest whose first two segments changed places, and their proofs with them: another chain, not the pinned."""

    def reorder(manifest: ProofManifest) -> ProofManifest:
        first, second, third = manifest.segments
        return replace(manifest, segments=(second, first, third))

    swapped = {0: bundle.proofs[1], 1: bundle.proofs[0], 2: bundle.proofs[2]}
    other = replace(rewritten(bundle, reorder), proofs=swapped)
    assert judge(honest, other, tmp_path, manifest=None).outcome is Outcome.REJECTED
    rejected(judge(honest, other, tmp_path), "manifest")


@pytest.mark.parametrize("name", ["../../../escaped", "/escaped", "..", "a\x1b[2Jb", "a\u202eb", "", "a/b"])
def test_names_that_lead_elsewhere_or_cannot_be_read(name: str, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Of a key file or a tensor, under a pin that says the same: no prover ever sees them."""

    def rename(manifest: ProofManifest) -> ProofManifest:
        circuit = manifest.segments[1].circuit
        assert circuit is not None
        keys = (replace(circuit.keys[0], name=name), *circuit.keys[1:])
        return with_segment(manifest, 1, circuit=replace(circuit, keys=keys))

    other = rewritten(bundle, rename)
    verdict = judge(honest, other, tmp_path, manifest=sha256_digest(other.manifest))
    rejected(verdict, "manifest", "a name that nobody could read, or of a file elsewhere")
    assert verdict.reason.isprintable()


def test_bombs(honest: Proved, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to too much, alone or together, or is packed by a method that takes memory as it pleases."""
    monkeypatch.setattr("partwise.verification.zk.bundle._MOST_BYTES", 1 << 20)
    rejected(judge(honest, with_proof(bundle, 1, bytes(2 << 20)), tmp_path), "absurdly large")
    monkeypatch.setattr("partwise.verification.zk.bundle._MOST_BYTES_IN_ALL", 1 << 20)
    large = {at: bytes(700_000) for at in bundle.proofs}
    rejected(judge(honest, replace(bundle, proofs=large), tmp_path), "absurdly large")
    path = tmp_path / "packed.zip"
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("manifest.json", bundle.manifest)
        rejected(raw_judge(honest, path), "packed in another way")


def test_very_many_entries(honest: Proved, tmp_path: Path) -> None:
    """Found at once, not by comparing each with each."""
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number_ in range(20_000):
            archive.writestr(f"proofs/segment_{number_}", b"")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("proofs/segment_19999", b"")
    start = time.monotonic()
    rejected(raw_judge(honest, path), "'proofs/segment_19999' twice")
    assert time.monotonic() - start < 10


def test_a_link_in_the_archive(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """A member that is a symbolic link is the text of its target, never what lies there."""
    path, link = tmp_path / "attack.zip", zipfile.ZipInfo("proofs/segment_1")
    link.external_attr, link.create_system = (stat.S_IFLNK | 0o777) << 16, 3
    write_bundle(path, replace(bundle, proofs={0: bundle.proofs[0], 2: bundle.proofs[2]}))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(honest.run / "segment_1" / "proof.json"))
    rejected(raw_judge(honest, path), "segment 1", "is no proof")


def test_a_record_that_cannot_be_read_changes_no_verdict(honest: Proved) -> None:
    record = honest.run / "run_result.json"
    before = record.read_bytes()
    try:
        for data in (b"{", b"[" * 100_000, before.replace(b'"segments":[', b'"segments":[null,'), b"\xff"):
            record.write_bytes(data)
            verdict = verify_sliced_run(honest.layout, honest.run, honest.prover).verdict
            assert verdict.outcome is Outcome.ACCEPTED
            assert any("not noted in the run's record" in note for note in verdict.notes)
    finally:
        record.write_bytes(before)


def test_proofs_of_another_prover_are_not_judged(honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Whoever writes a manifest does not choose a weaker verifier for it."""
    other = rewritten(bundle, lambda m: replace(m, prover="recompute", prover_version="partwise.recompute/1"))
    rejected(judge(honest, other, tmp_path), "not the pinned")
    verdict = judge(honest, other, tmp_path, manifest=sha256_digest(other.manifest))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "here is ezkl" in verdict.reason


@pytest.mark.slow
def test_range_checks_turned_off_in_silence(tmp_path: Path) -> None:
    """The manifest, pinned, says that they are on; the pinned settings of the circuit say otherwise."""
    with own_folders(tmp_path):
        prover = make_prover("ezkl", insecure=True)
        layout, _ = slice_model(skip_model(tmp_path / "model.onnx"), stages=1)
        compile_slices(layout, prover, replace(TINY, boundary_checks=False))
        run = run_slices(layout, prover, request_file(tmp_path / "input.json")).path
        prove_run(layout, run, prover)
        found = verify_sliced_run(layout, run, prover).verdict
        assert (found.outcome, found.reason) == (
            Outcome.INCONCLUSIVE,
            "segment 0: its circuit does not check the range of its inputs and outputs",
        )

        def lie(manifest: ProofManifest) -> ProofManifest:
            circuit = manifest.segments[0].circuit
            assert circuit is not None
            stated = replace(circuit.settings, boundary_checks=True)
            return with_segment(manifest, 0, circuit=replace(circuit, settings=stated))

        write_bundle(tmp_path / "attack.zip", lied := rewritten(read_bundle(run / PROOFS), lie))
        known = {"inputs": tmp_path / "input.json", "claim": run / "output.json"}
        pin = sha256_digest(lied.manifest)
        verdict = verify_archive(tmp_path / "attack.zip", prover, manifest=pin, **known).verdict
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "does not check the range" in verdict.reason
