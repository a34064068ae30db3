"""The manifest of proofs: which segments, how they are linked, and the digest of everything a verifier believes.

Like a package's manifest it holds no path and no time. Its own digest is the pin that a client gives; a manifest is
parsed once, and every promise in it is checked before a proof is looked at. Format: docs/prove.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, Self

import msgspec

from partwise.digest import canonical_json, is_digest, sha256_digest
from partwise.errors import ManifestError
from partwise.ir import DType, Output
from partwise.strict_json import SharedInt, json_record
from partwise.verification.zk.moves import MOST_MOVED, Move, shapes_problem
from partwise.verification.zk.names import is_file_name, is_name
from partwise.verification.zk.prover import KeyFile, Sizes
from partwise.verification.zk.settings import CircuitSettings, Visibility

__all__ = [
    "MOST_MANIFEST_BYTES",
    "PROOF_VERSION",
    "CircuitEntry",
    "Edge",
    "ProofManifest",
    "ProvedSegment",
    "Wire",
    "is_shallow",
    "proof_manifest_from_bytes",
    "proof_manifest_problems",
    "proof_manifest_to_bytes",
]

PROOF_VERSION = "partwise.proof/1"
MOST_MANIFEST_BYTES = 1 << 28
"""Of its file. Assumed; one of 1,000 segments has some megabytes."""
_MOST_DIMS = 64
"""Of an array. **Source**: numpy 2, `NPY_MAXDIMS`."""
_DEEPEST = 64
"""Pieces within pieces. Assumed: each division leaves about half of the layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One tensor at a segment's boundary, in the order of its ONNX file."""

    tensor: str
    shape: tuple[SharedInt, ...]
    dtype: DType
    """In the model; a request is read in it before it becomes fixed-point."""
    scale: SharedInt | None = None
    """Fixed-point bits; None at a segment without a circuit."""
    source: SharedInt | None = None
    """Number of the segment that gives it; None for an input of the model and for outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitEntry:
    """What pins a segment's proof."""

    settings: CircuitSettings
    keys: tuple[KeyFile, ...]
    rows: SharedInt
    common: str | None = None
    """Digest of what the segments share; ezkl: the whole SRS file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedSegment:
    """One segment."""

    onnx: str
    """Digest of its ONNX file, weights included."""
    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]
    circuit: CircuitEntry | None = None
    """None: runs plainly and is not proved."""
    pieces: tuple[ProvedSegment, ...] = ()
    """What may be proved in its place: all of them, in this order (`pieces`). Their inputs are found by name."""
    moves: tuple[Move, ...] = ()
    """Where it has no circuit and only moves values that proofs show: what the verifier moves itself."""

    @property
    def sizes(self) -> Sizes:
        """Elements of each tensor."""
        return Sizes(
            inputs=tuple(prod(wire.shape) for wire in self.inputs),
            outputs=tuple(prod(wire.shape) for wire in self.outputs),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofManifest:
    """A chain of segments."""

    version: str
    prover: str
    prover_version: str
    model: str
    package: str
    """Digest of the package that the segments were taken from."""
    inputs: tuple[Wire, ...]
    """Of the model."""
    outputs: tuple[Output, ...]
    segments: tuple[ProvedSegment, ...]

    @property
    def digest(self) -> str:
        """The pin."""
        return sha256_digest(proof_manifest_to_bytes(self))

    def edges(self) -> Iterable[Edge]:
        """Every tensor that one segment gives and another takes."""
        for number, segment in enumerate(self.segments):
            for wire in segment.inputs:
                if wire.source is not None:
                    yield Edge(source=wire.source, target=number, tensor=wire.tensor)

    def home(self, tensor: str) -> int:
        """The segment that gives a tensor."""
        return next(n for n, s in enumerate(self.segments) if any(wire.tensor == tensor for wire in s.outputs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One tensor between two segments."""

    source: int
    target: int
    tensor: str

    def __str__(self) -> str:
        return f"edge {self.source} → {self.target}, `{self.tensor}`"


def proof_manifest_to_bytes(manifest: ProofManifest) -> bytes:
    """The file's bytes: canonical JSON."""
    found = msgspec.to_builtins(manifest)
    _leave_out_no_moves(found["segments"])
    return canonical_json(found)


def _leave_out_no_moves(segments: list[dict[str, Any]]) -> None:
    """A segment that moves nothing does not say so: manifests of before keep their bytes."""
    for segment in segments:
        if not segment["moves"]:
            del segment["moves"]
        _leave_out_no_moves(segment["pieces"])


def proof_manifest_from_bytes(data: bytes, subject: str) -> ProofManifest:
    """A manifest from anywhere, every promise checked.

    Raises:
        ManifestError: not JSON, a field of the wrong type, another version, or a promise it cannot keep.
    """
    manifest = json_record(
        data, ProofManifest, subject, what="not a manifest of proofs", expected=PROOF_VERSION, error=ManifestError
    )
    if manifest.version != PROOF_VERSION:
        raise ManifestError(subject, "another version of the format", expected=PROOF_VERSION, got=manifest.version[:80])
    if problems := list(proof_manifest_problems(manifest)):
        raise ManifestError(subject, "; ".join(problems[:5])[:500])
    if data != _spelled(manifest):  # fields twice or unknown, numbers spelled otherwise
        raise ManifestError(subject, "is written in another way than manifests are", expected="canonical JSON")
    return manifest


def proof_manifest_problems(manifest: ProofManifest) -> Iterable[str]:
    """Everything in it that cannot be."""
    if not manifest.segments:
        yield "has no segment"
    if not (all(map(is_name, _names(manifest))) and all(map(is_file_name, _key_names(manifest)))):
        yield "holds a name that nobody could read, or of a file elsewhere"
        return  # the other promises would repeat it
    if not is_shallow(manifest.segments):
        yield f"holds pieces within pieces, more than {_DEEPEST} deep"
        return
    given = dict[str, tuple[int, Wire]]()
    model = {wire.tensor: wire for wire in manifest.inputs}
    if len(model) != len(manifest.inputs):
        yield "names an input twice"
    if any(_is_impossible(wire.shape) for wire in manifest.inputs):
        yield "has an input of an impossible shape"
    for number, segment in enumerate(manifest.segments):
        yield from _segment_problems(number, segment)
        for wire in segment.inputs:
            yield from _wire_problems(number, wire, given, model)
        for wire in segment.outputs:
            if wire.tensor in given or wire.tensor in model:
                yield f"`{wire.tensor}` is given twice"
            given[wire.tensor] = (number, wire)
    names = [output.name for output in manifest.outputs]
    if not names or len(set(names)) != len(names):
        yield "has no outputs, or one twice"
    yield from (f"output `{o.name}` is given by no segment" for o in manifest.outputs if o.tensor not in given)
    yield from _moves_problems(manifest)
    circuits = [segment.circuit for segment in manifest.segments if segment.circuit is not None]
    ways = {circuit.settings.visibility for circuit in circuits}
    if len(ways) > 1:
        yield "its circuits show their values in different ways, which cannot be compared"
    if ways - {Visibility.PUBLIC} and any(segment.moves for segment in manifest.segments):
        yield "moves values that its proofs do not show"
    if ways == {Visibility.POLYCOMMIT} and len({(c.settings.logrows, c.common) for c in circuits}) > 1:
        most = max(circuit.settings.logrows or 0 for circuit in circuits)
        yield f"commitments of circuits of different sizes cannot be compared: compile all with --logrows {most}"


def _moves_problems(manifest: ProofManifest) -> Iterator[str]:
    """Of segments that move values: shapes, and that nothing else is said of them."""
    moving = [(number, segment) for number, segment in enumerate(manifest.segments) if segment.moves]
    if sum(prod(wire.shape) for _, segment in moving for wire in (*segment.inputs, *segment.outputs)) > MOST_MOVED:
        yield "moves absurdly much"
        return
    for number, segment in moving:
        if segment.circuit is not None or segment.pieces:
            yield f"segment {number} moves values, and is proved too"
        taken, given = ({wire.tensor: wire.shape for wire in wires} for wires in (segment.inputs, segment.outputs))
        if problem := shapes_problem(segment.moves, taken, given):
            yield f"segment {number} {problem}"
    if any(piece.moves for segment in manifest.segments for piece in segment.pieces):
        yield "holds a piece that moves values"
    yield from _shadows(manifest, [segment for _, segment in moving])


def _shadows(manifest: ProofManifest, moving: list[ProvedSegment]) -> Iterator[str]:
    """What is made on the way of moves has a name of its own: another tensor's would be taken for it."""
    shown = {wire.tensor for segment in manifest.segments for wire in (*segment.inputs, *segment.outputs)}
    shown |= {wire.tensor for wire in manifest.inputs}
    for segment in moving:
        given = {wire.tensor for wire in segment.outputs}
        inner = {move.tensor for move in segment.moves} - given
        if inner & shown:
            yield f"moves values under the name of another tensor, `{min(inner & shown)}`"
        shown |= inner


def _spelled(manifest: ProofManifest) -> bytes | None:
    try:
        return proof_manifest_to_bytes(manifest)
    except ValueError:  # a surrogate that stands alone
        return None


def _names(manifest: ProofManifest) -> Iterable[str]:
    """Everything that is shown to people."""
    yield from (manifest.prover, manifest.prover_version, manifest.model or "-")
    yield from (name for output in manifest.outputs for name in (output.name, output.tensor))
    yield from (wire.tensor for wire in manifest.inputs)
    yield from (wire.tensor for segment in _all(manifest) for wire in (*segment.inputs, *segment.outputs))
    yield from (move.tensor for segment in manifest.segments for move in segment.moves)


def _key_names(manifest: ProofManifest) -> Iterable[str]:
    """What names a file where a program is the prover."""
    return (key.name for segment in _all(manifest) if segment.circuit for key in segment.circuit.keys)


def _all(manifest: ProofManifest) -> Iterator[ProvedSegment]:
    """Segments and all pieces, however deep."""
    pending = [*manifest.segments]
    while pending:
        segment = pending.pop()
        pending += segment.pieces
        yield segment


class _InPieces(Protocol):
    @property
    def pieces(self) -> tuple[Self, ...]: ...


def is_shallow(segments: tuple[_InPieces, ...]) -> bool:
    """Whether pieces within pieces end where no honest division goes on."""
    for _ in range(_DEEPEST):
        segments = tuple(piece for segment in segments for piece in segment.pieces)
    return not segments


def _is_impossible(shape: tuple[int, ...]) -> bool:
    return len(shape) > _MOST_DIMS or any(size < 1 for size in shape)


def _segment_problems(number: int, segment: ProvedSegment) -> Iterator[str]:
    if not segment.outputs:
        yield f"segment {number} gives nothing"
    tensors = [wire.tensor for wire in segment.inputs]
    if len(set(tensors)) != len(tensors):
        yield f"segment {number} takes a tensor twice"
    keys = [key.name for key in segment.circuit.keys] if segment.circuit else []
    if len(set(keys)) != len(keys):
        yield f"segment {number} names a key twice"
    digests = [segment.onnx, *(key.digest for key in segment.circuit.keys)] if segment.circuit else [segment.onnx]
    if segment.circuit and segment.circuit.common is not None:
        digests.append(segment.circuit.common)
    if not all(map(is_digest, digests)):
        yield f"segment {number} holds something that is no digest"
    for wire in (*segment.inputs, *segment.outputs):
        if _is_impossible(wire.shape):
            yield f"segment {number}, `{wire.tensor}` has an impossible shape"
        if segment.circuit and (wire.scale is None or not 0 <= wire.scale <= 60):
            yield f"segment {number}, `{wire.tensor}` has an impossible scale"
    for piece in segment.pieces:
        yield from (f"a piece of {problem}" for problem in _segment_problems(number, piece))


def _wire_problems(
    number: int, wire: Wire, given: dict[str, tuple[int, Wire]], model: dict[str, Wire]
) -> Iterable[str]:
    where = f"segment {number} takes `{wire.tensor}`"
    if wire.source is None:
        if wire.tensor not in model or model[wire.tensor].shape != wire.shape:
            yield f"{where}, which is no input of the model of that shape"
        elif model[wire.tensor].dtype != wire.dtype:
            yield f"{where} as {wire.dtype}, but it is an input of type {model[wire.tensor].dtype}"
        return
    home, sent = given.get(wire.tensor, (None, None))
    if sent is None or home != wire.source:
        yield f"{where} from segment {wire.source}, which does not give it before"
    elif sent.shape != wire.shape:
        yield f"{where} in another shape than segment {wire.source} gives it"
    elif sent.dtype != wire.dtype:
        yield f"{where} as {wire.dtype}, but segment {wire.source} gives it as {sent.dtype}"
    elif None not in (sent.scale, wire.scale) and sent.scale != wire.scale:
        yield f"{where} at scale {wire.scale}, but segment {wire.source} gives it at scale {sent.scale}"
