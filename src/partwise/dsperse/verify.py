"""`verify`: the verdict on a run's proofs, or on a `proofs.zip` from anywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from partwise.digest import is_digest, sha256_digest
from partwise.dsperse.layout import Layout
from partwise.dsperse.prove import PROOFS
from partwise.dsperse.records import VerificationExecution, read_result, write_result
from partwise.dsperse.tensors import read_tensors
from partwise.errors import InputError, ManifestError, PartwiseError
from partwise.verification.zk.bundle import Bundle, read_bundle
from partwise.verification.zk.manifest import ProofManifest, proof_manifest_from_bytes
from partwise.verification.zk.pieces import whole
from partwise.verification.zk.pins import noted_anywhere, noted_manifest
from partwise.verification.zk.prover import Prover
from partwise.verification.zk.verify import Pin, ProofVerdict, SegmentVerdict, verify_proofs

__all__ = ["proofs_prover", "verify_archive", "verify_sliced_run"]

_HOLDS = ("verified", "moved")
"""What a segment is that nothing is missing of."""


def proofs_prover(proofs: Path, manifest: str | None) -> str:
    """The kind of prover that a `proofs.zip` says it is of, or the client's own manifest does; it may be unknown here.

    Args:
        proofs: the file, from anywhere.
        manifest: the client's pin, a digest or a file.

    Raises:
        InputError: a file that cannot be read at all.
    """
    if not proofs.is_file():
        raise InputError(str(proofs.parent), "has no proofs", hint="partwise prove")
    given = None if manifest is None or is_digest(manifest) else _manifest_file(manifest)
    known = _parsed(read_bundle(proofs).manifest if given is None else given)
    return "ezkl" if known is None else known.prover


def verify_archive(
    path: Path,
    prover: Prover,
    *,
    manifest: str | None = None,
    inputs: Path | None = None,
    claim: Path | None = None,
) -> ProofVerdict:
    """Judge a `proofs.zip`.

    Args:
        path: the file, from anywhere.
        prover: checks single proofs.
        manifest: the client's pin, a digest or a file; None: what this machine's own compile noted, if it did.
        inputs: the client's request.
        claim: the answer that is claimed.

    Raises:
        InputError: a file that cannot be read at all.
    """
    bundle, manifest = _taken(read_bundle(path), manifest)
    return _judge(bundle, prover, _client_pin(bundle, manifest), inputs, claim)


def verify_sliced_run(
    layout: Layout,
    run: Path,
    prover: Prover,
    *,
    manifest: str | None = None,
    inputs: Path | None = None,
    claim: Path | None = None,
) -> ProofVerdict:
    """Judge a run's proofs, against its own request and answer where the client gives none; noted in its record.

    Raises:
        InputError: the run has no proofs.
    """
    if not (run / PROOFS).is_file():
        raise InputError(str(run), "has no proofs", hint="partwise prove")
    bundle, manifest = _taken(read_bundle(run / PROOFS), manifest)
    noted = noted_manifest(layout.slices)
    pin = (
        _client_pin(bundle, manifest)
        if manifest is not None
        else noted and Pin(digest=noted, by="this machine's compile")
    )
    if inputs is None and not (run / "input.json").is_file():
        raise InputError(str(run / "input.json"), "is no file", hint="--input: the request that was made.")
    found = _judge(bundle, prover, pin or None, inputs or run / "input.json", claim or run / "output.json")
    if inputs is None or claim is None:
        which = " and ".join(w for w, g in (("request", inputs), ("answer", claim)) if g is None)
        note = f"the {which} compared with is the one that the run recorded"
        found = _noted(found, note)
    unrecorded = _record(run, found)
    return _noted(found, unrecorded) if unrecorded else found


def _noted(found: ProofVerdict, note: str) -> ProofVerdict:
    return replace(found, verdict=replace(found.verdict, notes=(*found.verdict.notes, note)))


def _judge(bundle: Bundle, prover: Prover, pin: Pin | None, inputs: Path | None, claim: Path | None) -> ProofVerdict:
    known = _parsed(bundle.manifest)
    if claim is not None and not claim.is_file():
        raise InputError(str(claim), "is no file")
    try:
        answer = None if claim is None else read_tensors(claim, _outputs(known))
    except PartwiseError as error:  # the claim is the prover's: what is wrong with it is a verdict
        bundle, answer = replace(bundle, problems=(*bundle.problems, f"claim: {error}")), None
    return verify_proofs(
        bundle,
        prover,
        pin=pin,
        request=None if inputs is None else read_tensors(inputs, _inputs(known)),
        claim=answer,
    )


def _client_pin(bundle: Bundle, manifest: str | None) -> Pin | None:
    known = _parsed(bundle.manifest)
    digest = sha256_digest(bundle.manifest) if known is None else known.digest
    if manifest is None:
        folder = noted_anywhere(digest)
        return None if folder is None else Pin(digest=digest, by=f"this machine's compile of {folder}")
    return Pin(digest=manifest if is_digest(manifest) else digest, by="the client")


def _taken(bundle: Bundle, manifest: str | None) -> tuple[Bundle, str | None]:
    """A manifest given as a file stands for the one that came along, or pins it where that one extends it."""
    if manifest is None or is_digest(manifest):
        return bundle, manifest
    data = _manifest_file(manifest)
    given, came = _parsed(data), _parsed(bundle.manifest)
    if given is not None and came is not None and given.digest == whole(came).digest:
        return bundle, given.digest
    return replace(bundle, manifest=data), manifest


def _manifest_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"--manifest {path}", f"is neither a digest nor a readable file ({error.strerror})",
                         expected="sha256:<64 hex digits>, as `partwise compile` prints it") from None  # fmt: skip


def _parsed(data: bytes) -> ProofManifest | None:
    try:
        return proof_manifest_from_bytes(data, "manifest")
    except ManifestError:
        return None  # the verifier says so


def _inputs(manifest: ProofManifest | None) -> list[tuple[str, tuple[int, ...]]]:
    return [] if manifest is None else [(wire.tensor, wire.shape) for wire in manifest.inputs]


def _outputs(manifest: ProofManifest | None) -> list[tuple[str, tuple[int, ...]]]:
    if manifest is None:
        return []
    shapes = {wire.tensor: wire.shape for segment in manifest.segments for wire in segment.outputs}
    return [(output.name, shapes[output.tensor]) for output in manifest.outputs]


def _execution(judged: list[SegmentVerdict]) -> VerificationExecution | None:
    """What was found of a segment, or of its pieces: the first that is not verified decides."""
    if not judged:
        return None
    worst = next((one for one in judged if one.state not in _HOLDS), judged[0])
    return VerificationExecution(success=worst.state in _HOLDS, state=worst.state, reason=worst.reason)


def _record(run: Path, found: ProofVerdict) -> str:
    """Note a verdict in the run's record; returns why it could not be, since no record changes a verdict."""
    try:
        result = read_result(run)
        judged = [[one for one in found.segments if one.segment == number] for number in range(len(result.segments))]
        segments = tuple(
            msgspec.structs.replace(segment, verification_execution=_execution(ones))
            for segment, ones in zip(result.segments, judged, strict=True)
        )
        told = found.verdict.outcome.value, found.verdict.reason
        write_result(run, msgspec.structs.replace(result, segments=segments, verdict=told[0], reason=told[1]))
    except InputError as error:
        return f"not noted in the run's record: {error}"
    return ""
