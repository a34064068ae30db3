"""A manifest of proofs keeps its promises, or names each one that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from partwise.errors import ManifestError
from partwise.ir import DType, Output
from partwise.verification.zk.manifest import (
    PROOF_VERSION,
    CircuitEntry,
    ProofManifest,
    ProvedSegment,
    Wire,
    proof_manifest_from_bytes,
    proof_manifest_to_bytes,
)
from partwise.verification.zk.settings import CircuitSettings, Visibility

DIGEST = f"sha256:{'0' * 64}"


def wire(tensor: str, source: int | None = None, scale: int | None = 7, shape: tuple[int, ...] = (1, 2)) -> Wire:
    return Wire(tensor=tensor, shape=shape, dtype=DType.FLOAT32, scale=scale, source=source)


def circuit(**settings: object) -> CircuitEntry:
    return CircuitEntry(settings=CircuitSettings(**settings), keys=(), rows=1, common=DIGEST)  # pyright: ignore[reportArgumentType]


def manifest(**changes: object) -> ProofManifest:
    first = ProvedSegment(onnx=DIGEST, inputs=(wire("x"),), outputs=(wire("a"),), circuit=circuit(logrows=8))
    second = ProvedSegment(onnx=DIGEST, inputs=(wire("a", 0),), outputs=(wire("y"),), circuit=circuit(logrows=9))
    made = ProofManifest(
        version=PROOF_VERSION,
        prover="ezkl",
        prover_version="1",
        model="m",
        package=DIGEST,
        inputs=(wire("x", scale=None),),
        outputs=(Output(name="y", tensor="y"),),
        segments=(first, second),
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType]


def second(**changes: object) -> Callable[[ProofManifest], ProofManifest]:
    return lambda m: replace(m, segments=(m.segments[0], replace(m.segments[1], **changes)))  # pyright: ignore[reportArgumentType]


def committed(made: ProofManifest) -> ProofManifest:
    sizes = [segment.circuit.settings.logrows for segment in made.segments if segment.circuit]
    entries = [circuit(logrows=k, visibility=Visibility.POLYCOMMIT) for k in sizes]
    pairs = zip(made.segments, entries, strict=True)
    return replace(made, segments=tuple(replace(segment, circuit=entry) for segment, entry in pairs))


def test_a_sound_one_survives() -> None:
    assert proof_manifest_from_bytes(proof_manifest_to_bytes(manifest()), "test") == manifest()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (second(inputs=(wire("a", 1),)), "does not give it before"),
        (second(inputs=(wire("a"),)), "no input of the model"),
        (second(inputs=(wire("b", 0),)), "does not give it before"),
        (second(inputs=(wire("a", 0, shape=(2, 1)),)), "in another shape"),
        (second(inputs=(wire("a", 0, scale=8),)), "at scale 8"),
        (second(inputs=(wire("a", 0), wire("a", 0))), "takes a tensor twice"),
        (second(outputs=(wire("a"),)), "given twice"),
        (second(outputs=()), "gives nothing"),
        (second(outputs=(wire("z"),)), "output `y` is given by no segment"),
        (second(onnx="sha256:0"), "no digest"),
        (second(outputs=(wire("y", scale=-1),)), "impossible scale"),
        (second(outputs=(wire("y", shape=(0, 1)),)), "impossible shape"),
        (second(outputs=(wire("y", shape=(1,) * 65),)), "impossible shape"),
        (lambda m: replace(m, inputs=(wire("x", shape=(0,)),)), "an input of an impossible shape"),
        (second(inputs=(replace(wire("a", 0), dtype=DType.INT64),)), "as int64, but segment 0 gives it as float32"),
        (lambda m: replace(m, inputs=(replace(wire("x"), dtype=DType.INT8),)), "it is an input of type int8"),
        (second(circuit=circuit(visibility=Visibility.HASHED)), "in different ways"),
        (committed, "--logrows 9"),
        (lambda m: replace(m, segments=()), "has no segment"),
        (lambda m: replace(m, outputs=()), "has no outputs"),
        (lambda m: replace(m, inputs=(*m.inputs, *m.inputs)), "an input twice"),
        (lambda m: replace(m, version="partwise.proof/2"), "another version"),
    ],
)
def test_each_broken_promise_is_named(change: Callable[[ProofManifest], ProofManifest], words: str) -> None:
    with pytest.raises(ManifestError, match=words.replace("(", r"\(")):
        proof_manifest_from_bytes(proof_manifest_to_bytes(change(manifest())), "test")
