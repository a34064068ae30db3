"""What a pinned manifest says of proofs made in pieces: how they are linked, and which of them an older pin covers."""

from __future__ import annotations

from dataclasses import replace

from partwise.errors import ManifestError
from partwise.verification.zk.bundle import Bundle
from partwise.verification.zk.manifest import ProofManifest, proof_manifest_problems, proof_manifest_to_bytes
from partwise.verification.zk.pieces import Place, expand

__all__ = ["covered", "linked"]


def linked(manifest: ProofManifest, divided: frozenset[Place]) -> tuple[ProofManifest, tuple[Place, ...]]:
    """The manifest as it was proved.

    Raises:
        ManifestError: it has no such pieces, or they cannot be linked.
    """
    flat, places = expand(manifest, divided)
    if problems := list(proof_manifest_problems(flat)):
        raise ManifestError("manifest", f"its pieces cannot be linked: {problems[0]}")
    return flat, places


def covered(bundle: Bundle, base: ProofManifest, places: tuple[Place, ...]) -> Bundle:
    """What a pinned manifest covers of proofs that came under an extension of it: those of whole segments."""
    proofs = {n: proof for n, proof in bundle.proofs.items() if n >= len(places) or len(places[n]) == 1}
    kept = {places[n][0] if n < len(places) else len(base.segments) + n: proof for n, proof in proofs.items()}
    in_pieces = {place[:1] for place in places if len(place) > 1}
    left = in_pieces | {place[:1] for n, place in enumerate(places) if n in bundle.not_proved}
    pinned = {key.digest for segment in base.segments if segment.circuit for key in segment.circuit.keys}
    return replace(
        bundle,
        manifest=proof_manifest_to_bytes(base),
        not_proved=frozenset(number for first in left for number in first),
        divided=frozenset(),
        proofs=kept,
        keys={digest: data for digest, data in bundle.keys.items() if digest in pinned},
    )
