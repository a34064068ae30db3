"""`run_result.json` in Dsperse's words: what each segment did, whether it was proved, and the counts of the whole."""

from __future__ import annotations

from pathlib import Path

import msgspec

from partwise.digest import canonical_json
from partwise.errors import InputError
from partwise.files import read_regular, write_whole
from partwise.strict_json import json_record
from partwise.verification.zk.manifest import is_shallow

__all__ = [
    "RUN_FORMAT",
    "ProofExecution",
    "ProvingIncident",
    "RunResult",
    "SegmentRun",
    "VerificationExecution",
    "WitnessExecution",
    "is_sliced_run",
    "read_result",
    "write_result",
]

RUN_FORMAT = "partwise.dsperse-run/1"
RESULT = "run_result.json"
_MOST_BYTES = 1 << 28
"""Of a record. Assumed; one of 1,000 segments has 1 MB."""


class WitnessExecution(msgspec.Struct, frozen=True, kw_only=True):
    """How a segment ran."""

    method: str
    """A prover's name where a witness was made, `moved` where values were only moved, `onnxruntime` where it ran
    plainly."""
    success: bool = True
    seconds: float
    witness: str | None = None
    """Digest of the witness file."""
    error: float | None = None
    """Largest absolute difference of its outputs from onnxruntime's on the same inputs; None where it ran plainly."""


class ProofExecution(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's proof."""

    success: bool
    seconds: float
    cpu_s: float
    peak_bytes: int
    verify_seconds: float
    proof: str
    """Digest of the proof file."""
    proof_bytes: int
    witness: str
    keys: str
    """Digest of the verifying files that it was checked with."""


class VerificationExecution(msgspec.Struct, frozen=True, kw_only=True):
    """What the verifier found for a segment."""

    success: bool
    state: str
    reason: str = ""


class SegmentRun(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of a run."""

    segment_id: str
    proved: str = "not proved"
    """`proved` or `not proved`."""
    witness_execution: WitnessExecution
    proof_execution: ProofExecution | None = None
    verification_execution: VerificationExecution | None = None
    pieces: tuple[SegmentRun, ...] = ()
    """What was proved in its place."""

    @property
    def is_proved(self) -> bool:
        """Itself, or all of its pieces."""
        return self.proved == "proved" or (bool(self.pieces) and all(piece.is_proved for piece in self.pieces))


class ProvingIncident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong while workers proved, and what was done about it."""

    what: str
    """As `runtime.schedule` says: `lost`, `failed`, `overdue`, `excluded`, `divided`, `given up`, …"""
    worker: int | None = None
    segment: str | None = None
    """Its number, with those of the piece: `2`, `2.0`."""
    why: str = ""

    def __str__(self) -> str:
        where = [f"worker {self.worker}"] if self.worker is not None else []
        where += [f"segment {self.segment}"] if self.segment is not None else []
        about = f" ({', '.join(where)})" if where else ""
        return f"{self.what}{about}" + (f": {self.why}" if self.why else "")


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """A run."""

    format: str = RUN_FORMAT
    model: str
    package: str
    manifest: str | None
    """Digest of the manifest of proofs, without the pieces that it may name; None where nothing was compiled."""
    pinned: str | None = None
    """Digest of the manifest that the proofs came under: with all its pieces."""
    error: dict[str, float]
    """By output: largest absolute difference of the quantized chain from onnxruntime's chain."""
    max_error: float | None = None
    total_segments: int
    witness_segments: int
    proved_segments: int = 0
    verified_segments: int = 0
    segments: tuple[SegmentRun, ...]
    incidents: tuple[ProvingIncident, ...] = ()
    verdict: str | None = None
    reason: str | None = None


class _Format(msgspec.Struct, frozen=True):
    format: str


def write_result(run: Path, result: RunResult) -> None:
    """Write a run's record, its counts made anew."""
    counted = msgspec.structs.replace(
        result,
        total_segments=len(result.segments),
        witness_segments=sum(one.witness_execution.witness is not None for one in result.segments),
        proved_segments=sum(one.is_proved for one in result.segments),
        verified_segments=sum(
            one.verification_execution is not None and one.verification_execution.success for one in result.segments
        ),
    )
    write_whole(run / RESULT, canonical_json(msgspec.to_builtins(counted)))


def is_sliced_run(path: Path) -> bool:
    """Whether a folder is a run of a sliced model."""
    try:
        data = read_regular(path / RESULT, _MOST_BYTES)
        return json_record(data, _Format, str(path / RESULT), what="has no format").format == RUN_FORMAT
    except (OSError, InputError):
        return False


def read_result(run: Path) -> RunResult:
    """A run's record; it is a note for people and for resuming, never believed by the verifier.

    Raises:
        InputError: it cannot be read, or is of another format.
    """
    try:
        data = read_regular(run / RESULT, _MOST_BYTES)
    except OSError as error:
        raise InputError(str(run / RESULT), f"cannot be read ({error.strerror})") from None
    found = json_record(data, RunResult, str(run / RESULT), what="is no record of such a run")
    if found.format != RUN_FORMAT:
        raise InputError(str(run / RESULT), "is of another format", expected=RUN_FORMAT, got=found.format[:80])
    if not is_shallow(found.segments):
        raise InputError(str(run / RESULT), "holds pieces within pieces without end")
    return found
