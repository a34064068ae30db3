"""The proofs of one run as tasks: what each needs, and what becomes of one that is made, or cannot be.

task ─ job ──▶ prover, here or on a worker ──▶ accept: checked against the pinned keys, written, noted
          └──▶ divide: pieces made, the manifest extended and noted, two tasks in its place
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from partwise.digest import file_digest, sha256_digest
from partwise.dsperse.kept import Kept, keys_digest
from partwise.dsperse.layout import place_folder
from partwise.dsperse.pieces import make_pieces
from partwise.dsperse.proof_demand import proof_bytes
from partwise.dsperse.records import ProofExecution, ProvingIncident
from partwise.dsperse.tensors import read_tensors
from partwise.errors import PackageError, ProverError
from partwise.files import write_whole
from partwise.packaging import open_package
from partwise.runtime.demands import demands_of
from partwise.runtime.schedule import Demand, Incident
from partwise.verification.zk.compile import is_whole
from partwise.verification.zk.field import quantize
from partwise.verification.zk.manifest import Wire
from partwise.verification.zk.pieces import Place, place_name
from partwise.verification.zk.prover import Circuit, Mark, Measured
from partwise.verification.zk.workers import Job

__all__ = ["Listener", "Progress", "Proving"]

_EXACT = 1 << 53
"""From here on float64 skips whole numbers. **Source**: IEEE 754, binary64."""
Progress = Callable[[str, int, int | None], None]
Listener = Callable[[ProvingIncident], None]


class Proving:
    """See the module, and `Work` for each of its functions.

    Args:
        kept: of the run.
        chosen: numbers of segments.
        sized: whether the memory that each task needs is asked for.
        on_progress: called with (what is being done, how much is done, how much there is).
        on_incident: called with what went wrong among the workers.
    """

    def __init__(
        self,
        kept: Kept,
        chosen: list[int],
        *,
        sized: bool = False,
        on_progress: Progress | None = None,
        on_incident: Listener | None = None,
    ) -> None:
        self._kept, self._sized = kept, sized
        self._on_progress, self._on_incident = on_progress, on_incident
        self._package = open_package(kept.layout.package)
        places = [place for number in chosen for place in kept.leaves((number,))]
        self._done = {place for place in places if kept.is_proved(place)}
        for place in self._done:
            kept.change(place, msgspec.structs.replace(kept.node(place), proved="proved"))
        self._places = [place for place in places if place not in self._done]

    @property
    def tasks(self) -> range:
        """Those that are not done."""
        return range(len(self._places))

    @property
    def demands(self) -> tuple[Demand, ...]:
        """See `Work`."""
        whole = demands_of(self._package, layers=True)
        return tuple(self._demand(place, self._kept.circuit(place), whole[place[0]]) for place in self._places)

    def job(self, task: int) -> Job:
        """See `Work`.

        Raises:
            PackageError: the keys are not the manifest's, or not whole (ezkl hangs on another circuit's); the witness
                is not the run's.
        """
        place, kept = self._places[task], self._kept
        self._progress(place)
        circuit, folder, witness = kept.circuit(place), kept.folder(place), kept.witness(place)
        if not is_whole(folder, circuit):
            raise PackageError(place_name(place), "its keys were cut short or changed", hint="partwise compile")
        if file_digest(witness) != kept.node(place).witness_execution.witness:
            raise PackageError(str(witness), "is not the witness of this run", hint="partwise run slices/ again.")
        return Job(circuit=circuit, folder=folder, witness=witness, subject=place_name(place))

    def accept(self, task: int, proof: Path, measured: Measured) -> None:
        """See `Work`."""
        place, start = self._places[task], time.monotonic()
        if proof.is_symlink() or not proof.is_file():
            raise ProverError(place_name(place), "there is no proof where its prover was to write it")
        data, circuit = proof.read_bytes(), self._kept.circuit(place)
        self._check(place, circuit, data)
        write_whole(self._kept.proof(place), data)
        node = self._kept.node(place)
        execution = ProofExecution(
            success=True,
            seconds=measured.seconds,
            cpu_s=measured.cpu_s,
            peak_bytes=measured.peak_bytes,
            verify_seconds=time.monotonic() - start,
            proof=sha256_digest(data),
            proof_bytes=len(data),
            witness=node.witness_execution.witness or "",
            keys=keys_digest(circuit),
        )
        self._kept.change(place, msgspec.structs.replace(node, proved="proved", proof_execution=execution))
        self._done.add(place)
        self._progress(place)

    def divide(self, task: int) -> tuple[Demand, ...]:
        """See `Work`: the pieces take the next numbers, and the manifest names them from here on."""
        place, kept = self._places[task], self._kept
        made = make_pieces(kept.layout, self._package, kept.prover, kept.run, place, kept.entry(place))
        kept.extend(place, tuple(piece.entry for piece in made))
        kept.change(place, msgspec.structs.replace(kept.node(place), pieces=tuple(piece.run for piece in made)))
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
        self._kept.tell(told)
        if self._on_incident:
            self._on_incident(told)

    def _check(self, place: Place, circuit: Circuit, proof: bytes) -> None:
        keys = {key.name: self._kept.folder(place) / key.name for key in circuit.keys}
        found = self._kept.prover.check(keys, self._kept.entry(place).sizes, proof, place_name(place))
        if found.boundary is None:
            raise ProverError(place_name(place), f"its own proof {found.refused}", hint="compile and run again.")
        for side, wires, marks in (
            ("input", self._kept.entry(place).inputs, found.boundary.inputs),
            ("output", self._kept.entry(place).outputs, found.boundary.outputs),
        ):
            told = read_tensors(place_folder(self._kept.run, place) / f"{side}.json", [])
            for wire, mark in zip(wires, marks, strict=True):
                self._check_values(place, keys, wire, told.get(wire.tensor), mark)

    def _check_values(
        self, place: Place, keys: dict[str, Path], wire: Wire, told: np.ndarray | None, mark: Mark
    ) -> None:
        """Whether a proof is of the run's own values: an honest proof of another run's would be kept for ever."""
        subject = f"{place_name(place)}, `{wire.tensor}`"
        values = () if told is None else quantize(told, wire.scale or 0, subject)
        if max(map(abs, values), default=0) >= _EXACT:
            return  # the record has it as a float64, which skips such numbers; the verifier compares the edges
        if self._kept.prover.mark(keys, values, subject) not in (mark, None):
            raise ProverError(subject, "its proof is of other values than those of the run")

    def _demand(self, place: Place, circuit: Circuit, limits: Demand) -> Demand:
        folder = place_folder(self._kept.layout.slices, place)
        needed = proof_bytes(self._kept.prover, circuit, folder) if self._sized else 0
        return Demand(bytes=needed, parameters=limits.parameters, layers=limits.layers, work=float(circuit.rows or 1))

    def _progress(self, place: Place) -> None:
        if self._on_progress:
            left = sum(not self._kept.node(place).pieces for place in self._places if place not in self._done)
            self._on_progress(place_name(place), len(self._done), len(self._done) + left)
