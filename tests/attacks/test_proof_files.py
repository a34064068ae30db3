"""Attacks on the files that carry proofs (manifests, claims, archives, records): each rejected for its own reason."""

from __future__ import annotations

import json
import re
import stat
import time
import zipfile
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
from partwise.verification import Outcome
from partwise.verification.zk import make_prover
from partwise.verification.zk.bundle import Bundle, read_bundle, write_bundle
from partwise.verification.zk.manifest import ProofManifest, proof_manifest_from_bytes, proof_manifest_to_bytes
from proof_attacks import judge, manifest_of, raw_judge, rejected, rewritten, with_proof, with_segment
from zk_models import TINY, Proved, own_folders, request_file, skip_model

pytest.importorskip("ezkl")


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


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (b'{"version":"partwise.proof/1",', "'version' stands twice"),
        (b'{"segments":[],', "'segments' stands twice"),
        (b'{"rows":1,', "canonical JSON"),
        (b"{ ", "canonical JSON"),
        (b'{"x":0,', "canonical JSON"),
    ],
)
def test_manifests_of_two_spellings(start: bytes, why: str, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Fields twice (the last would count), unknown or spaced: what is pinned has one spelling."""
    twice = replace(bundle, manifest=start + bundle.manifest[1:])
    rejected(judge(honest, twice, tmp_path), "manifest", why)


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (b'{"instances":[],', "'instances' stands twice"),
        (b'{"proof":"00",', "'proof' stands twice"),
        (b"{ ", "written in another way"),
    ],
)
def test_proofs_of_two_spellings(start: bytes, why: str, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    twice = start + bundle.proofs[1][1:]
    rejected(judge(honest, with_proof(bundle, 1, twice), tmp_path), "segment 1", why)


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


@pytest.mark.parametrize(
    "name", ["../../../escaped", "/escaped", "..", "a\x1b[2Jb", "a\u202eb", "", "a/b", "cafe\u0301", "-rf"]
)
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


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (b'{"not_proved":[1],"not_proved":[]}', "stands twice"),
        (b'{"not_proved":[NaN]}', "NaN is no JSON"),
        (b'{"not_proved":[9007199254740992]}', "no index of proofs"),
        (b'{"not_proved":[],"divided":' + b"[" * 100_000, "no JSON"),
        (b'{"not_proved":[],"more":[]}', "no index of proofs"),
        (b"\xff", "no JSON"),
    ],
)
def test_an_index_that_two_readers_would_read_differently(
    index: bytes, why: str, honest: Proved, bundle: Bundle, tmp_path: Path
) -> None:
    path = tmp_path / "attack.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", bundle.manifest)
        archive.writestr("proofs.json", index)
        for number_, proof in bundle.proofs.items():
            archive.writestr(f"proofs/segment_{number_}", proof)
        for digest, data in bundle.keys.items():
            archive.writestr(f"keys/{digest.removeprefix('sha256:')}", data)
    rejected(raw_judge(honest, path), "proofs.json", why)


@pytest.mark.parametrize("depth", [65, 400, 900])
def test_pieces_within_pieces_without_end(depth: int, honest: Proved, bundle: Bundle, tmp_path: Path) -> None:
    """Deep enough to end a reader that follows them, under a pin that says the same."""
    piece = f'{{"circuit":null,"inputs":[],"onnx":"sha256:{"0" * 64}","outputs":[],"pieces":['
    text = bundle.manifest.decode().replace('"pieces":[]', '"pieces":[' + piece * depth + "]}" * depth + "]", 1)
    deep = replace(bundle, manifest=text.encode())
    rejected(judge(honest, deep, tmp_path, manifest=sha256_digest(deep.manifest)), "manifest", "deep")


@pytest.mark.parametrize("start", ["NaN", "1e999", '{"version":"x","version":"y"}'])
def test_settings_that_two_readers_would_read_differently(
    start: str, honest: Proved, bundle: Bundle, tmp_path: Path
) -> None:
    """The circuit's own settings, under a pin that says the same."""
    circuit = manifest_of(bundle).segments[1].circuit
    assert circuit is not None
    at, key = next((at, key) for at, key in enumerate(circuit.keys) if key.name == "settings.json")
    data = b'{"timestamp":' + start.encode() + b"," + bundle.keys[key.digest][1:]

    def swap(manifest: ProofManifest) -> ProofManifest:
        keys = list(circuit.keys)
        keys[at] = replace(key, digest=sha256_digest(data), size=len(data))
        return with_segment(manifest, 1, circuit=replace(circuit, keys=tuple(keys)))

    other = replace(rewritten(bundle, swap), keys={**bundle.keys, sha256_digest(data): data})
    verdict = judge(honest, other, tmp_path, manifest=sha256_digest(other.manifest))
    assert verdict.outcome is Outcome.REJECTED
    assert any("no key or settings that can be read" in text for text in (verdict.reason, *verdict.notes))
