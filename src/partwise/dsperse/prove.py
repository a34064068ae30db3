"""`prove`: a proof of each witness of a run, checked at once, and all of them in `proofs.zip`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from partwise.dsperse.kept import Kept
from partwise.dsperse.layout import Layout
from partwise.dsperse.proof_bundle import write_proofs
from partwise.dsperse.proving import Listener, Progress, Proving
from partwise.dsperse.records import RunResult, read_result, write_result
from partwise.dsperse.run import read_manifest
from partwise.errors import InputError, PackageError
from partwise.files import copy_whole, working_folder
from partwise.verification.zk.manifest import ProofManifest
from partwise.verification.zk.pieces import whole
from partwise.verification.zk.pins import noted_manifest
from partwise.verification.zk.prover import Prover
from partwise.verification.zk.workers import Farm, prove_all

__all__ = ["PROOFS", "prove_run"]

PROOFS = "proofs.zip"


def prove_run(
    layout: Layout,
    run: Path,
    prover: Prover,
    *,
    layers: Collection[int] | None = None,
    out: Path | None = None,
    farm: Farm | None = None,
    on_progress: Progress | None = None,
    on_incident: Listener | None = None,
) -> RunResult:
    """Prove the segments of a run that have a witness; finished proofs are kept.

    Args:
        layout: of `slice`.
        run: of `run`.
        prover: the one of the keys.
        layers: segments to prove; None for all with a witness. The others are marked not proved.
        out: where `proofs.zip` is copied to.
        farm: workers that prove, and repeat or divide what fails; None: one after the other, and the first failure
            ends it.
        on_progress: called with (what is being done, how much is done, how much there is).
        on_incident: called with what went wrong among the workers.

    Raises:
        InputError: nothing was compiled, or a chosen segment has no witness.
        ProverError: the prover failed, or its own proof does not verify.
        RunError: no worker has room for a proof, and it cannot be divided.
    """
    manifest, result = _known(layout), read_result(run)
    if manifest is None:
        raise InputError(str(layout.slices), "has no circuits", hint="partwise compile")
    if result.manifest != whole(manifest).digest or len(result.segments) != len(manifest.segments):
        raise PackageError(str(run), "ran with other circuits", expected=result.manifest, got=whole(manifest).digest,
                           hint="partwise run slices/ again.")  # fmt: skip
    chosen = _chosen(result, layers)
    kept = Kept(layout=layout, run=run, prover=prover, manifest=manifest, result=result)
    sized = farm is not None and farm.capacity.bytes is not None
    proving = Proving(kept, chosen, sized=sized, on_progress=on_progress, on_incident=on_incident)
    with working_folder(run, "proving") as scratch:
        if farm is None:
            _prove_here(proving, prover, scratch / "proof.json")
        elif proving.tasks:
            prove_all(proving, prover, farm, scratch)
    write_proofs(kept, run / PROOFS)
    write_result(run, msgspec.structs.replace(kept.result, pinned=kept.manifest.digest))
    if out is not None:
        copy_whole(run / PROOFS, out)
    return read_result(run)


def _known(layout: Layout) -> ProofManifest | None:
    """The manifest of the layout; without its pieces where a call was killed before it noted them as made here."""
    manifest, noted = read_manifest(layout), noted_manifest(layout.slices)
    if manifest is None or noted == manifest.digest or noted != whole(manifest).digest:
        return manifest
    return whole(manifest)


def _prove_here(proving: Proving, prover: Prover, out: Path) -> None:
    for task in proving.tasks:
        job = proving.job(task)
        out.unlink(missing_ok=True)
        measured = prover.prove(job.circuit, job.folder, job.witness, out, job.subject)
        proving.accept(task, out, measured)


def _chosen(result: RunResult, layers: Collection[int] | None) -> list[int]:
    witnessed = [n for n, segment in enumerate(result.segments) if segment.witness_execution.witness is not None]
    if layers is None:
        if not witnessed:
            raise InputError("run", "has no witness to prove", hint="partwise compile, then partwise run slices/.")
        return witnessed
    if missing := [number for number in layers if number not in witnessed]:
        raise InputError(
            f"segment {missing[0]}", "has no witness in this run", hint="partwise compile, then run again."
        )
    return sorted(layers)
