"""The verifier: proofs, a pinned manifest and a claim in; a verdict out.

It believes the manifest whose digest the client gave (or this machine's own compile noted), and nothing else. What
it checks, and names when it fails:

    every key file's digest                       every proof against its pinned key
    every edge of the chain, tensor by tensor     first inputs = the request; last outputs = the claim
    no segment missing, repeated or left over     pieces only where the pinned manifest names them
    values that segments only move: moved here, and compared at both ends

Every failure is collected; the first is the reason, the others are notes. Threat model: docs/adr/0013-proofs.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from partwise.errors import InputError, ManifestError
from partwise.verification.verdict import Outcome, Verdict
from partwise.verification.zk.bundle import Bundle
from partwise.verification.zk.coverage import covered, linked
from partwise.verification.zk.ends import claimed, requested
from partwise.verification.zk.manifest import (
    Edge,
    ProofManifest,
    ProvedSegment,
    proof_manifest_from_bytes,
)
from partwise.verification.zk.moved import Moved
from partwise.verification.zk.pieces import Place, place_name, whole
from partwise.verification.zk.prover import Boundary, KeyFile, Mark, Prover
from partwise.verification.zk.srs_public import PUBLIC_SRS, VERIFIER_SRS

__all__ = ["Pin", "ProofVerdict", "SegmentVerdict", "verify_proofs"]

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Why a manifest is believed."""

    digest: str
    by: str
    """Who says so: the client, or this machine's own compile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentVerdict:
    """One segment's proof."""

    segment: int
    piece: Place = ()
    """Of the segment, where it was proved in pieces."""
    state: str
    """`verified`, `refused`, `not proved`, `moved` by the verifier itself, or `not checked` where the prover here is
    another."""
    reason: str = ""
    logrows: int | None = None
    rows: int | None = None
    proof_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofVerdict:
    """The judgement of a bundle of proofs."""

    verdict: Verdict
    manifest: str
    """Digest of the manifest that the bundle came with."""
    segments: tuple[SegmentVerdict, ...] = ()
    edges: int = 0
    """How many were compared and equal."""


def verify_proofs(
    bundle: Bundle,
    prover: Prover,
    *,
    pin: Pin | None,
    request: Tensors | None = None,
    claim: Tensors | None = None,
) -> ProofVerdict:
    """Judge a bundle of proofs.

    Args:
        bundle: from anywhere.
        prover: checks single proofs.
        pin: what the manifest's digest must be; None: nothing pins it, and the verdict is at best INCONCLUSIVE.
        request: the model's inputs by name, as floats.
        claim: the model's outputs by name, as floats at the outputs' scale.

    Raises:
        ProverError: the prover itself could not work.
    """
    try:
        manifest = proof_manifest_from_bytes(bundle.manifest, "manifest")
    except ManifestError as error:
        return ProofVerdict(verdict=_verdict([*bundle.problems, str(error)], [], ()), manifest="")
    try:
        flat, places = linked(manifest, bundle.divided)
    except ManifestError as error:
        return ProofVerdict(verdict=_verdict([str(error)], [], _srs_notes(manifest)), manifest=manifest.digest)
    if pin is not None and pin.digest != manifest.digest:
        base = whole(manifest)
        if base.digest != pin.digest:
            reason = f"the manifest is {manifest.digest}, not the pinned {pin.digest}"
            return ProofVerdict(verdict=_verdict([reason], [], _srs_notes(manifest)), manifest=manifest.digest)
        found = verify_proofs(covered(bundle, base, places), prover, pin=pin, request=request, claim=claim)
        return _extended(found, manifest.digest)
    with tempfile.TemporaryDirectory() as scratch:
        judge = _Judge(flat, bundle, prover, Path(scratch), places)
        return replace(judge.judge(pin, request, claim), manifest=manifest.digest)


def _extended(found: ProofVerdict, digest: str) -> ProofVerdict:
    note = f"the proofs came under {digest}, which extends the pinned manifest by pieces; the pin covers none of these"
    verdict = replace(found.verdict, notes=(*found.verdict.notes, note))
    return replace(found, verdict=verdict, manifest=digest)


class _Judge:
    """One verification: findings are collected, nothing stops at the first."""

    def __init__(
        self, manifest: ProofManifest, bundle: Bundle, prover: Prover, scratch: Path, places: tuple[Place, ...]
    ) -> None:
        self._manifest, self._bundle, self._prover, self._scratch = manifest, bundle, prover, scratch
        self._places = places
        self._wrong, self._open, self._notes = list[str](), list[str](), list[str]()
        self._boundaries = dict[int, Boundary]()
        self._is_ours = (prover.name, prover.version) == (manifest.prover, manifest.prover_version)

    def judge(self, pin: Pin | None, request: Tensors | None, claim: Tensors | None) -> ProofVerdict:
        if pin is None:
            self._open.append("manifest not pinned")
        self._wrong.extend(self._bundle.problems)
        self._notes.extend(_srs_notes(self._manifest))
        if not self._is_ours:
            theirs, here = f"{self._manifest.prover} {self._manifest.prover_version}", self._prover
            self._open.append(f"the proofs are of {theirs}, here is {here.name} {here.version}")
        segments = tuple(self._segment(number) for number in range(len(self._manifest.segments)))
        self._wrong.extend(self._left_over())
        moved = Moved(self._manifest, self._mark, self._name)
        edges = self._check_edges()
        self._check_ends("input", request, requested(self._manifest, request, self._boundaries))
        self._check_ends("claim", claim, claimed(self._manifest, claim, self._boundaries))
        self._wrong.extend(moved.problems(request, claim))
        edges += moved.edges
        if pin is not None:
            self._notes.append(f"manifest {pin.digest} pinned by {pin.by}")
        return ProofVerdict(
            verdict=_verdict(self._wrong, self._open, self._notes, edges),
            manifest=self._manifest.digest,
            segments=segments,
            edges=edges,
        )

    def _segment(self, number: int) -> SegmentVerdict:
        entry, proof = self._manifest.segments[number], self._bundle.proofs.get(number)
        if entry.moves:
            return SegmentVerdict(segment=self._places[number][0], state="moved")
        if entry.circuit is None or (proof is None and number in self._bundle.not_proved):
            self._open.append(f"{self._name(number)} is not proved")
            return SegmentVerdict(segment=self._places[number][0], piece=self._places[number][1:], state="not proved")
        size = None if proof is None else len(proof)
        if proof is not None and not self._is_ours:
            place = self._places[number]
            return SegmentVerdict(segment=place[0], piece=place[1:], state="not checked", proof_bytes=size)
        reason = "has no proof" if proof is None else self._judge_proof(number, entry, proof)
        if reason:
            self._wrong.append(f"{self._name(number)}: {'' if proof is None else 'its proof '}{reason}")
        return SegmentVerdict(
            segment=self._places[number][0],
            piece=self._places[number][1:],
            state="refused" if reason else "verified",
            reason=reason,
            logrows=entry.circuit.settings.logrows,
            rows=entry.circuit.rows,
            proof_bytes=size,
        )

    def _judge_proof(self, number: int, entry: ProvedSegment, proof: bytes) -> str:
        keys, missing = self._keys(number)
        if missing:
            return f"cannot be checked: {missing}"
        found = self._prover.check(keys, entry.sizes, proof, self._name(number))
        if found.boundary is None:
            return found.refused
        self._boundaries[number] = found.boundary
        if found.doubt:
            self._open.append(f"{self._name(number)}: {found.doubt}")
        if found.promise and found.promise not in self._notes:
            self._notes.append(found.promise)
        return ""

    def _keys(self, number: int) -> tuple[dict[str, Path], str]:
        """The pinned key files, written where the prover reads them; names are ours, not the manifest's."""
        circuit = self._manifest.segments[number].circuit
        found = dict[str, Path]()
        for position, key in enumerate(() if circuit is None else circuit.keys):
            if key.digest not in self._bundle.keys:
                return found, f"`{key.name[:40]}` with the pinned digest {key.digest} is not among the keys"
            path = self._scratch / f"{number}_{position}"
            path.write_bytes(self._bundle.keys[key.digest])
            found[key.name] = path
        return found, ""

    def _left_over(self) -> Iterable[str]:
        proved = {n for n, segment in enumerate(self._manifest.segments) if segment.circuit is not None}
        yield from (f"a proof of segment {n}, which has no circuit" for n in sorted(set(self._bundle.proofs) - proved))
        pinned = {key.digest for key in self._all_keys()}
        yield from (
            f"a key {digest} that the manifest does not name" for digest in sorted(set(self._bundle.keys) - pinned)
        )

    def _all_keys(self) -> Iterable[KeyFile]:
        return (key for segment in self._manifest.segments if segment.circuit for key in segment.circuit.keys)

    def _check_edges(self) -> int:
        equal = 0
        for edge in self._manifest.edges():
            sent, received = (
                self._mark(edge.source, edge.tensor, "outputs"),
                self._mark(edge.target, edge.tensor, "inputs"),
            )
            if sent is None or received is None:
                continue  # one of both is not proved, or refused, and said so
            if sent == received:
                equal += 1
            else:
                self._wrong.append(self._broken(edge))
        return equal

    def _broken(self, edge: Edge) -> str:
        source, target = self._name(edge.source), self._name(edge.target)
        ends = f"edge {source.removeprefix('segment ')} → {target.removeprefix('segment ')}, `{edge.tensor}`"
        return f"{ends}: {target} was proved on other values than {source} gave"

    def _name(self, number: int) -> str:
        return place_name(self._places[number])

    def _mark(self, number: int, tensor: str, side: str) -> Mark | None:
        if number not in self._boundaries:
            return None
        segment, boundary = self._manifest.segments[number], self._boundaries[number]
        wires, marks = (segment.inputs, boundary.inputs) if side == "inputs" else (segment.outputs, boundary.outputs)
        return next(mark for wire, mark in zip(wires, marks, strict=True) if wire.tensor == tensor)

    def _check_ends(self, which: str, given: Tensors | None, ends: Iterable[tuple[int, str, str, object]]) -> None:
        """Compare the model's inputs or outputs with what the proofs say."""
        if given is None:
            self._open.append(f"nothing to compare with: --{which} is missing")
            return
        try:
            for number, tensor, name, values in ends:
                self._check_end(number, tensor, name, values, "inputs" if which == "input" else "outputs")
        except InputError as error:
            self._wrong.append(f"{which}: {error}")

    def _check_end(self, number: int, tensor: str, name: str, values: object, side: str) -> None:
        mark = self._mark(number, tensor, side)
        if mark is None:
            return
        keys, _ = self._keys(number)
        expected = self._prover.mark(keys, values, f"{side[:-1]} `{name}`")  # pyright: ignore[reportArgumentType]
        if expected is None:
            self._open.append(f"{side[:-1]} `{name}` cannot be compared: the whole SRS is not in this machine's cache")
        elif expected != mark:
            said = "was proved on other values than the request" if side == "inputs" else "is not what was proved"
            where = f"{self._name(number)}, " if side == "inputs" else ""
            self._wrong.append(f"{where}{side[:-1]} `{name}` {said}")


def _srs_notes(manifest: ProofManifest) -> list[str]:
    """What every verdict says of a self-made SRS; the public one's part for verifiers has a known digest."""
    keys = (key for segment in manifest.segments if segment.circuit for key in segment.circuit.keys)
    if all(key.digest == PUBLIC_SRS[1] for key in keys if key.name == VERIFIER_SRS):
        return []
    return ["the SRS is self-made (--insecure-srs): whoever made it can forge proofs"]


def _verdict(wrong: list[str], undecided: list[str], notes: Iterable[str], edges: int = 0) -> Verdict:
    if wrong:
        return Verdict(outcome=Outcome.REJECTED, reason=wrong[0], notes=(*wrong[1:], *undecided, *notes))
    if undecided:
        return Verdict(outcome=Outcome.INCONCLUSIVE, reason=undecided[0], notes=(*undecided[1:], *notes))
    linked = f"{edges} edge{'' if edges == 1 else 's'} linked"
    reason = f"every segment is proved, {linked}; the first inputs are the request, the last outputs the claim"
    return Verdict(outcome=Outcome.ACCEPTED, reason=reason, notes=tuple(notes))
