"""What attacks on proofs have in common: a bundle changed, and the verdict of a client elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from partwise.digest import canonical_json
from partwise.dsperse import verify_archive
from partwise.verification import Outcome, Verdict
from partwise.verification.zk.bundle import Bundle, write_bundle
from partwise.verification.zk.manifest import ProofManifest, proof_manifest_from_bytes, proof_manifest_to_bytes
from zk_models import Proved


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


def manifest_of(bundle: Bundle) -> ProofManifest:
    return proof_manifest_from_bytes(bundle.manifest, "test")


def rewritten(bundle: Bundle, change: Callable[[ProofManifest], ProofManifest]) -> Bundle:
    return replace(bundle, manifest=proof_manifest_to_bytes(change(manifest_of(bundle))))


def with_segment(manifest: ProofManifest, at: int, **changes: object) -> ProofManifest:
    segments = list(manifest.segments)
    segments[at] = replace(segments[at], **changes)  # pyright: ignore[reportArgumentType]
    return replace(manifest, segments=tuple(segments))


def raw_judge(honest: Proved, path: Path, **given: object) -> Verdict:
    """The same of a file that no `write_bundle` writes."""
    known = {"manifest": honest.manifest, "inputs": honest.request, "claim": honest.run / "output.json"}
    return verify_archive(path, honest.prover, **(known | given)).verdict  # pyright: ignore[reportArgumentType]
