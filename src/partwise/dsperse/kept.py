"""What is kept of a run's proofs: the record, the manifest, and each segment's files by its place.

Every change is written at once, so that whoever is killed goes on from there. A place is a segment's number, then that
of each piece inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from partwise.digest import canonical_json, file_digest, sha256_digest
from partwise.dsperse.layout import Layout, place_folder
from partwise.dsperse.records import ProvingIncident, RunResult, SegmentRun, write_result
from partwise.errors import PackageError
from partwise.files import write_whole
from partwise.verification.zk.compile import open_circuit
from partwise.verification.zk.manifest import ProofManifest, ProvedSegment, proof_manifest_to_bytes
from partwise.verification.zk.pieces import Place, extend, find, place_name
from partwise.verification.zk.pins import note_manifest, noted_manifest
from partwise.verification.zk.prover import Circuit, Prover

__all__ = ["Kept", "keys_digest"]


@dataclass(slots=True, kw_only=True)
class Kept:
    """A run's proofs on disk."""

    layout: Layout
    run: Path
    prover: Prover
    manifest: ProofManifest
    """With the pieces made so far."""
    result: RunResult
    """The run's record."""

    def node(self, place: Place) -> SegmentRun:
        """What the record says of a segment, or of a piece."""
        found = self.result.segments[place[0]]
        for step in place[1:]:
            found = found.pieces[step]
        return found

    def entry(self, place: Place) -> ProvedSegment:
        """What the manifest says of it."""
        return find(self.manifest, place)

    def folder(self, place: Place) -> Path:
        """Of its circuit."""
        return self.layout.circuit(place[0], self.prover.name, *place[1:])

    def witness(self, place: Place) -> Path:
        """Where its witness lies."""
        return place_folder(self.run, place) / "witness.json"

    def proof(self, place: Place) -> Path:
        """Where its proof lies, or will."""
        return place_folder(self.run, place) / "proof.json"

    def circuit(self, place: Place) -> Circuit:
        """Its circuit.

        Raises:
            PackageError: its keys are not the manifest's.
        """
        entry = self.entry(place)
        circuit = open_circuit(self.folder(place), entry.onnx, self.prover)
        if circuit is None or entry.circuit is None or circuit.keys != entry.circuit.keys:
            hint = "partwise compile"
            raise PackageError(place_name(place), "its keys are not those of the manifest", hint=hint)
        return circuit

    def is_proved(self, place: Place) -> bool:
        """Whether its proof is there, of this witness and these keys."""
        node, proof = self.node(place), self.proof(place)
        done = node.proof_execution
        if done is None or not proof.is_file() or done.witness != node.witness_execution.witness:
            return False
        return done.keys == keys_digest(self.circuit(place)) and file_digest(proof) == done.proof

    def leaves(self, place: Place) -> Iterator[Place]:
        """Where an earlier call has divided a segment, its pieces; not if the manifest names none any more."""
        node = self.node(place)
        if not node.pieces or self.is_proved(place):
            yield place
        elif len(self.entry(place).pieces) != len(node.pieces):
            self.change(place, msgspec.structs.replace(node, pieces=()))
            yield place
        else:
            for number in range(len(node.pieces)):
                yield from self.leaves((*place, number))

    def divided(self) -> Iterator[Place]:
        """Places that are proved in pieces, or were to be."""
        for number in range(len(self.result.segments)):
            yield from self._divided((number,))

    def change(self, place: Place, node: SegmentRun) -> None:
        """Note something else of a place."""
        segments = _with(self.result.segments, place, node)
        self._note(msgspec.structs.replace(self.result, segments=segments))

    def tell(self, incident: ProvingIncident) -> None:
        """Note that something went wrong."""
        self._note(msgspec.structs.replace(self.result, incidents=(*self.result.incidents, incident)))

    def extend(self, place: Place, pieces: tuple[ProvedSegment, ...]) -> None:
        """Name pieces in the manifest.

        It is noted as this machine's own only where what it extends was: nobody else's manifest becomes a pin here.
        """
        is_ours = noted_manifest(self.layout.slices) == self.manifest.digest
        self.manifest = extend(self.manifest, place, pieces)
        write_whole(self.layout.manifest, proof_manifest_to_bytes(self.manifest))
        if is_ours:
            note_manifest(self.layout.slices, self.manifest.digest)

    def _divided(self, place: Place) -> Iterator[Place]:
        node = self.node(place)
        if node.pieces and node.proved != "proved":
            yield place
            for number in range(len(node.pieces)):
                yield from self._divided((*place, number))

    def _note(self, result: RunResult) -> None:
        self.result = result
        write_result(self.run, result)


def keys_digest(circuit: Circuit) -> str:
    """One digest of all that a verifier needs of a circuit."""
    return sha256_digest(canonical_json(msgspec.to_builtins(circuit.keys)))


def _with(segments: tuple[SegmentRun, ...], place: Place, node: SegmentRun) -> tuple[SegmentRun, ...]:
    at, inner = place[0], place[1:]
    if inner:
        node = msgspec.structs.replace(segments[at], pieces=_with(segments[at].pieces, inner, node))
    return (*segments[:at], node, *segments[at + 1 :])
