"""`prove`: a proof of each witness of a run, checked at once, and all of them in `proofs.zip`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from partwise.digest import canonical_json, file_digest, sha256_digest
from partwise.dsperse.layout import Layout
from partwise.dsperse.records import ProofExecution, RunResult, SegmentRun, read_result, write_result
from partwise.dsperse.run import read_manifest
from partwise.errors import InputError, PackageError, ProverError
from partwise.files import copy_whole
from partwise.verification.zk.bundle import Bundle, write_bundle
from partwise.verification.zk.compile import open_circuit
from partwise.verification.zk.manifest import ProofManifest, proof_manifest_to_bytes
from partwise.verification.zk.prover import Circuit, KeyFile, Prover

__all__ = ["PROOFS", "prove_run"]

PROOFS = "proofs.zip"
Progress = Callable[[str, int, int | None], None]


def prove_run(
    layout: Layout,
    run: Path,
    prover: Prover,
    *,
    layers: Collection[int] | None = None,
    out: Path | None = None,
    on_progress: Progress | None = None,
) -> RunResult:
    """Prove the segments of a run that have a witness; finished proofs are kept.

    Args:
        layout: of `slice`.
        run: of `run`.
        prover: the one of the keys.
        layers: segments to prove; None for all with a witness. The others are marked not proved.
        out: where `proofs.zip` is copied to.
        on_progress: called with (what is being done, how much is done, how much there is).

    Raises:
        InputError: nothing was compiled, or a chosen segment has no witness.
        ProverError: the prover failed, or its own proof does not verify.
    """
    manifest, result = read_manifest(layout), read_result(run)
    if manifest is None:
        raise InputError(str(layout.slices), "has no circuits", hint="partwise compile")
    if result.manifest != manifest.digest or len(result.segments) != len(manifest.segments):
        raise PackageError(str(run), "ran with other circuits", expected=result.manifest, got=manifest.digest,
                           hint="partwise run slices/ again.")  # fmt: skip
    chosen = _chosen(result, layers)
    for done, number in enumerate(chosen):
        if on_progress:
            on_progress(f"segment {number}", done, len(chosen))
        result = _prove_one(layout, run, prover, manifest, result, number)
        write_result(run, result)
    _write_bundle(layout, run, prover, manifest, result)
    if out is not None:
        copy_whole(run / PROOFS, out)
    return read_result(run)


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


def _prove_one(
    layout: Layout, run: Path, prover: Prover, manifest: ProofManifest, result: RunResult, number: int
) -> RunResult:
    subject, entry, here = f"segment {number}", manifest.segments[number], run / f"segment_{number}"
    folder = layout.circuit(number, prover.name)
    circuit = open_circuit(folder, entry.onnx, prover)
    if circuit is None or entry.circuit is None or circuit.keys != entry.circuit.keys:
        raise PackageError(subject, "its keys are not those of the manifest", hint="partwise compile")
    segment, proof = result.segments[number], here / "proof.json"
    keys = sha256_digest(canonical_json(msgspec.to_builtins(circuit.keys)))
    if _is_done(segment, proof, keys):
        return _with(result, number, msgspec.structs.replace(segment, proved="proved"))
    witness = here / "witness.json"
    if file_digest(witness) != segment.witness_execution.witness:
        raise PackageError(str(witness), "is not the witness of this run", hint="partwise run slices/ again.")
    measured = prover.prove(circuit, folder, witness, proof, subject)
    data = proof.read_bytes()
    start = time.monotonic()
    found = prover.check(_key_paths(folder, circuit), entry.sizes, data, subject)
    if found.boundary is None:
        proof.unlink()
        raise ProverError(subject, f"its own proof {found.refused}", hint="compile and run again.")
    execution = ProofExecution(
        success=True,
        seconds=measured.seconds,
        cpu_s=measured.cpu_s,
        peak_bytes=measured.peak_bytes,
        verify_seconds=time.monotonic() - start,
        proof=sha256_digest(data),
        proof_bytes=len(data),
        witness=segment.witness_execution.witness or "",
        keys=keys,
    )
    return _with(result, number, msgspec.structs.replace(segment, proved="proved", proof_execution=execution))


def _is_done(segment: SegmentRun, proof: Path, keys: str) -> bool:
    done = segment.proof_execution
    if done is None or not proof.is_file() or done.keys != keys or done.witness != segment.witness_execution.witness:
        return False
    return file_digest(proof) == done.proof


def _with(result: RunResult, number: int, segment: SegmentRun) -> RunResult:
    return msgspec.structs.replace(
        result, segments=(*result.segments[:number], segment, *result.segments[number + 1 :])
    )


def _key_paths(folder: Path, circuit: Circuit) -> dict[str, Path]:
    return {key.name: folder / key.name for key in circuit.keys}


def _write_bundle(layout: Layout, run: Path, prover: Prover, manifest: ProofManifest, result: RunResult) -> None:
    proved = [number for number, segment in enumerate(result.segments) if segment.proved == "proved"]
    keys = dict[str, bytes]()
    for number, entry in enumerate(manifest.segments):
        for key in () if entry.circuit is None else entry.circuit.keys:
            keys[key.digest] = _read_key(layout.circuit(number, prover.name), key)
    bundle = Bundle(
        manifest=proof_manifest_to_bytes(manifest),
        not_proved=frozenset(range(len(manifest.segments))) - frozenset(proved),
        proofs={number: (run / f"segment_{number}" / "proof.json").read_bytes() for number in proved},
        keys=keys,
    )
    write_bundle(run / PROOFS, bundle)


def _read_key(folder: Path, key: KeyFile) -> bytes:
    data = (folder / key.name).read_bytes()
    if sha256_digest(data) != key.digest:
        raise PackageError(str(folder / key.name), "is not what the manifest pins", expected=key.digest,
                           got=sha256_digest(data), hint="partwise compile")  # fmt: skip
    return data
