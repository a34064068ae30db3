"""The proofs of one run as tasks: what each needs, what is kept of it, and what becomes of one that cannot be made.

task ─ job ──▶ prover, here or on a worker ──▶ accept: checked against the pinned keys, written, noted
          └──▶ divide: pieces made, the manifest extended and noted, two tasks in its place
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from partwise import api
from partwise.digest import canonical_json, file_digest, sha256_digest
from partwise.dsperse.layout import Layout, place_folder
from partwise.dsperse.pieces import make_pieces
from partwise.dsperse.records import ProofExecution, ProvingIncident, RunResult, SegmentRun, write_result
from partwise.errors import PackageError, ProverError
from partwise.files import write_whole
from partwise.packaging import Package, open_package
from partwise.profiling.proof import ProofSettings, proof_cost
from partwise.profiling.proof_work import graph_work
from partwise.runtime.demands import demands_of
from partwise.runtime.schedule import Demand, Incident
from partwise.verification.zk.bundle import Bundle, write_bundle
from partwise.verification.zk.compile import is_whole, open_circuit
from partwise.verification.zk.manifest import ProofManifest, ProvedSegment, proof_manifest_to_bytes
from partwise.verification.zk.pieces import Place, expand, extend, find, place_name
from partwise.verification.zk.pins import note_manifest, noted_manifest
from partwise.verification.zk.prover import Circuit, KeyFile, Measured, Prover
from partwise.verification.zk.workers import Job

__all__ = ["Listener", "Progress", "Proving", "node_of"]

Progress = Callable[[str, int, int | None], None]
Listener = Callable[[ProvingIncident], None]


def node_of(result: RunResult, place: Place) -> SegmentRun:
    """What the record of a run says of a segment, or of a piece."""
    found = result.segments[place[0]]
    for step in place[1:]:
        found = found.pieces[step]
    return found


class Proving:
    """See the module. Each change is written at once: whoever is killed goes on from there.

    `sized`: whether the memory that each task needs is asked for.
    """

    def __init__(
        self,
        layout: Layout,
        run: Path,
        prover: Prover,
        manifest: ProofManifest,
        result: RunResult,
        chosen: list[int],
        *,
        sized: bool = False,
        on_progress: Progress | None = None,
        on_incident: Listener | None = None,
    ) -> None:
        self.manifest, self.result = manifest, result
        self._layout, self._run, self._prover, self._sized = layout, run, prover, sized
        self._on_progress, self._on_incident = on_progress, on_incident
        self._package: Package = open_package(layout.package)
        self._places = [place for number in chosen for place in self._leaves((number,))]
        self._done = {place for place in self._places if self._is_done(place)}
        for place in self._done:
            self._change(place, msgspec.structs.replace(node_of(self.result, place), proved="proved"))
        self._places = [place for place in self._places if place not in self._done]

    @property
    def tasks(self) -> range:
        """Those that are not done."""
        return range(len(self._places))

    @property
    def demands(self) -> tuple[Demand, ...]:
        """See `Work`."""
        whole = demands_of(self._package, layers=True)
        return tuple(self._demand(place, self._open(place), whole[place[0]]) for place in self._places)

    def job(self, task: int) -> Job:
        """See `Work`.

        Raises:
            PackageError: the keys are not the manifest's, or not whole (ezkl hangs on another circuit's); the witness
                is not the run's.
        """
        place = self._places[task]
        self._progress(place)
        circuit, witness = self._open(place), place_folder(self._run, place) / "witness.json"
        if not is_whole(self._folder(place), circuit):
            raise PackageError(place_name(place), "its keys were cut short or changed", hint="partwise compile")
        if file_digest(witness) != node_of(self.result, place).witness_execution.witness:
            raise PackageError(str(witness), "is not the witness of this run", hint="partwise run slices/ again.")
        return Job(circuit=circuit, folder=self._folder(place), witness=witness, subject=place_name(place))

    def accept(self, task: int, proof: Path, measured: Measured) -> None:
        """See `Work`."""
        place, start = self._places[task], time.monotonic()
        data, entry, circuit = proof.read_bytes(), self._entry(place), self._open(place)
        keys = {key.name: self._folder(place) / key.name for key in circuit.keys}
        found = self._prover.check(keys, entry.sizes, data, place_name(place))
        if found.boundary is None:
            raise ProverError(place_name(place), f"its own proof {found.refused}", hint="compile and run again.")
        write_whole(self._proof(place), data)
        node = node_of(self.result, place)
        execution = ProofExecution(
            success=True,
            seconds=measured.seconds,
            cpu_s=measured.cpu_s,
            peak_bytes=measured.peak_bytes,
            verify_seconds=time.monotonic() - start,
            proof=sha256_digest(data),
            proof_bytes=len(data),
            witness=node.witness_execution.witness or "",
            keys=_keys_digest(circuit),
        )
        self._change(place, msgspec.structs.replace(node, proved="proved", proof_execution=execution))
        self._done.add(place)
        self._progress(place)

    def divide(self, task: int) -> tuple[Demand, ...]:
        """See `Work`: the pieces take the next numbers, and the manifest names them from here on."""
        place = self._places[task]
        entry = self._entry(place)
        made = make_pieces(self._layout, self._package, self._prover, self._run, place, entry)
        self._extend(place, tuple(piece.entry for piece in made))
        node = node_of(self.result, place)
        self._change(place, msgspec.structs.replace(node, pieces=tuple(piece.run for piece in made)))
        places = [(*place, number) for number in range(len(made))]
        self._places += places
        return tuple(self._demand(at, one.circuit, one.demand) for at, one in zip(places, made, strict=True))

    def name(self, task: int) -> str:
        """See `Work`."""
        return place_name(self._places[task])

    def tell(self, incident: Incident) -> None:
        """See `Work`: noted in the record, in the words of segments and pieces."""
        place = None if incident.stage is None else self._places[incident.stage]
        told = ProvingIncident(
            what=incident.what,
            worker=incident.worker,
            segment=None if place is None else place_name(place).removeprefix("segment "),
            why=incident.why if incident.what != "divided" else "into two pieces",
        )
        self.result = msgspec.structs.replace(self.result, incidents=(*self.result.incidents, told))
        write_result(self._run, self.result)
        if self._on_incident:
            self._on_incident(told)

    def write_bundle(self, path: Path) -> None:
        """All proofs that there are, and the keys that they are checked with."""
        divided = frozenset(self._divided())
        flat, places = expand(self.manifest, divided)
        proved = {n: place for n, place in enumerate(places) if node_of(self.result, place).proved == "proved"}
        keys = dict[str, bytes]()
        for number, entry in enumerate(flat.segments):
            for key in () if entry.circuit is None else entry.circuit.keys:
                keys[key.digest] = _read_key(self._folder(places[number]), key)
        bundle = Bundle(
            manifest=proof_manifest_to_bytes(self.manifest),
            not_proved=frozenset(range(len(places))) - frozenset(proved),
            divided=divided,
            proofs={number: self._proof(place).read_bytes() for number, place in proved.items()},
            keys=keys,
        )
        write_bundle(path, bundle)

    def _divided(self) -> Iterator[Place]:
        """Places that are proved in pieces, or were to be."""

        def below(place: Place, node: SegmentRun) -> Iterator[Place]:
            if node.pieces and node.proved != "proved":
                yield place
                for number, piece in enumerate(node.pieces):
                    yield from below((*place, number), piece)

        for number, node in enumerate(self.result.segments):
            yield from below((number,), node)

    def _leaves(self, place: Place) -> Iterator[Place]:
        """Where an earlier call has divided a segment, its pieces; not if the manifest names none any more."""
        node = node_of(self.result, place)
        if not node.pieces or self._is_done(place):
            yield place
        elif len(find(self.manifest, place).pieces) != len(node.pieces):
            self._change(place, msgspec.structs.replace(node, pieces=()))
            yield place
        else:
            for number in range(len(node.pieces)):
                yield from self._leaves((*place, number))

    def _is_done(self, place: Place) -> bool:
        node, proof = node_of(self.result, place), self._proof(place)
        done = node.proof_execution
        if done is None or not proof.is_file() or done.witness != node.witness_execution.witness:
            return False
        return done.keys == _keys_digest(self._open(place)) and file_digest(proof) == done.proof

    def _entry(self, place: Place) -> ProvedSegment:
        return find(self.manifest, place)

    def _open(self, place: Place) -> Circuit:
        entry = self._entry(place)
        circuit = open_circuit(self._folder(place), entry.onnx, self._prover)
        if circuit is None or entry.circuit is None or circuit.keys != entry.circuit.keys:
            hint = "partwise compile"
            raise PackageError(place_name(place), "its keys are not those of the manifest", hint=hint)
        return circuit

    def _folder(self, place: Place) -> Path:
        return self._layout.circuit(place[0], self._prover.name, *place[1:])

    def _proof(self, place: Place) -> Path:
        return place_folder(self._run, place) / "proof.json"

    def _change(self, place: Place, node: SegmentRun) -> None:
        self.result = msgspec.structs.replace(self.result, segments=_with(self.result.segments, place, node))
        write_result(self._run, self.result)

    def _extend(self, place: Place, pieces: tuple[ProvedSegment, ...]) -> None:
        """Noted as this machine's own only where what it extends was: nobody else's manifest becomes a pin here."""
        is_ours = noted_manifest(self._layout.slices) == self.manifest.digest
        self.manifest = extend(self.manifest, place, pieces)
        write_whole(self._layout.manifest, proof_manifest_to_bytes(self.manifest))
        if is_ours:
            note_manifest(self._layout.slices, self.manifest.digest)

    def _demand(self, place: Place, circuit: Circuit, limits: Demand) -> Demand:
        needed = self._peak_bytes(place, circuit) if self._sized else 0
        return Demand(bytes=needed, parameters=limits.parameters, layers=limits.layers, work=float(circuit.rows or 1))

    def _peak_bytes(self, place: Place, circuit: Circuit) -> int:
        """Of proving: predicted where the prover's cost is known, elsewhere what making the keys took."""
        if self._prover.name != "ezkl":
            return circuit.measured.peak_bytes
        used = circuit.settings
        folder = place_folder(self._layout.slices, place)
        model = folder / ("circuit.onnx" if used.integer else f"{folder.name}.onnx")
        work = graph_work(api.capture(model, optimize="off"), integer=used.integer)
        settings = ProofSettings(
            logrows=used.logrows or 1,
            columns=used.columns,
            base=used.base,
            legs=used.legs,
            product_checks=used.product_checks,
        )
        return int(proof_cost(work, settings).peak_bytes)

    def _progress(self, place: Place) -> None:
        if self._on_progress:
            left = sum(not node_of(self.result, place).pieces for place in self._places if place not in self._done)
            self._on_progress(place_name(place), len(self._done), len(self._done) + left)


def _with(segments: tuple[SegmentRun, ...], place: Place, node: SegmentRun) -> tuple[SegmentRun, ...]:
    at, inner = place[0], place[1:]
    if inner:
        node = msgspec.structs.replace(segments[at], pieces=_with(segments[at].pieces, inner, node))
    return (*segments[:at], node, *segments[at + 1 :])


def _keys_digest(circuit: Circuit) -> str:
    return sha256_digest(canonical_json(msgspec.to_builtins(circuit.keys)))


def _read_key(folder: Path, key: KeyFile) -> bytes:
    data = (folder / key.name).read_bytes()
    if sha256_digest(data) != key.digest:
        raise PackageError(str(folder / key.name), "is not what the manifest pins", expected=key.digest,
                           got=sha256_digest(data), hint="partwise compile")  # fmt: skip
    return data
