"""Segments proved in pieces: what a pin covers, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from partwise.errors import ManifestError
from partwise.ir import DType, Output
from partwise.verification import Outcome
from partwise.verification.zk.bundle import Bundle, read_bundle, write_bundle
from partwise.verification.zk.field import Values
from partwise.verification.zk.manifest import (
    PROOF_VERSION,
    CircuitEntry,
    ProofManifest,
    ProvedSegment,
    Wire,
    proof_manifest_from_bytes,
    proof_manifest_to_bytes,
)
from partwise.verification.zk.pieces import Place, expand, extend, find, place_name, whole
from partwise.verification.zk.prover import KeyFile
from partwise.verification.zk.settings import CircuitSettings
from partwise.verification.zk.verify import Pin, ProofVerdict, verify_proofs
from zk_echo import EchoProver, echo_proof

DIGEST = f"sha256:{'0' * 64}"
VALUES: dict[str, Values] = {"x": (1, 2), "a": (3, 4), "m": (5, 6), "n": (7, 8), "b": (9, 10), "y": (11, 12)}


def segment(inputs: dict[str, int | None], output: str) -> ProvedSegment:
    def wire(name: str, source: int | None = None) -> Wire:
        return Wire(tensor=name, shape=(2,), dtype=DType.FLOAT32, scale=3, source=source)

    circuit = CircuitEntry(settings=CircuitSettings(scale=3), keys=(), rows=1)
    taken = tuple(wire(name, source) for name, source in inputs.items())
    return ProvedSegment(onnx=DIGEST, inputs=taken, outputs=(wire(output),), circuit=circuit)


@pytest.fixture
def base() -> ProofManifest:
    """x → a → b → y, with a value a that goes past the middle."""
    return ProofManifest(
        version=PROOF_VERSION,
        prover="echo",
        prover_version="1",
        model="m",
        package=DIGEST,
        inputs=(Wire(tensor="x", shape=(2,), dtype=DType.FLOAT32),),
        outputs=(Output(name="y", tensor="y"),),
        segments=(segment({"x": None}, "a"), segment({"a": 0}, "b"), segment({"b": 1, "a": 0}, "y")),
    )


@pytest.fixture
def extended(base: ProofManifest) -> ProofManifest:
    """The middle in three pieces: two, of which the second is two again."""
    once = extend(base, (1,), (segment({"a": None}, "m"), segment({"m": None}, "b")))
    return extend(once, (1, 1), (segment({"m": None}, "n"), segment({"n": None}, "b")))


DEEP: frozenset[Place] = frozenset({(1,), (1, 1)})


def judge(
    manifest: ProofManifest,
    divided: frozenset[Place],
    pin: str | None = None,
    forged: dict[int, bytes] | None = None,
) -> ProofVerdict:
    flat, _ = expand(manifest, divided)
    proofs = {
        number: echo_proof([VALUES[w.tensor] for w in s.inputs], [VALUES[w.tensor] for w in s.outputs])
        for number, s in enumerate(flat.segments)
    }
    bundle = Bundle(
        manifest=proof_manifest_to_bytes(manifest),
        not_proved=frozenset(),
        divided=divided,
        proofs=proofs | (forged or {}),
        keys={},
    )
    return verified(bundle, pin or manifest.digest)


def verified(bundle: Bundle, pin: str) -> ProofVerdict:
    prover: Any = EchoProver()
    ends = {name: np.array(VALUES[name]) / 2**3 for name in "xy"}
    request, claim = {"x": ends["x"]}, {"y": ends["y"]}
    return verify_proofs(bundle, prover, pin=Pin(digest=pin, by="the test"), request=request, claim=claim)


def test_pieces_stand_in_the_place_of_what_they_are_of(base: ProofManifest, extended: ProofManifest) -> None:
    flat, places = expand(extended, DEEP)
    assert places == ((0,), (1, 0), (1, 1, 0), (1, 1, 1), (2,))
    assert [[w.source for w in s.inputs] for s in flat.segments] == [[None], [0], [1], [2], [3, 0]]
    assert expand(extended, ()) == (extended, ((0,), (1,), (2,)))
    assert whole(extended) == base
    assert place_name((1, 1, 0)) == "segment 1.1.0"
    assert proof_manifest_from_bytes(proof_manifest_to_bytes(extended), "it") == extended


@pytest.mark.parametrize("divided", [frozenset[Place](), frozenset({(1,)}), DEEP])
def test_whole_or_in_pieces_under_the_pin_that_names_them(extended: ProofManifest, divided: frozenset[Place]) -> None:
    found = judge(extended, divided)
    assert found.verdict.outcome is Outcome.ACCEPTED, found.verdict
    assert found.edges == 3 + len(divided)
    assert [(one.segment, *one.piece) for one in found.segments] == list(expand(extended, divided)[1])


def test_the_pin_of_what_was_extended_covers_no_piece(base: ProofManifest, extended: ProofManifest) -> None:
    found = judge(extended, DEEP, pin=base.digest)
    assert found.verdict.outcome is Outcome.INCONCLUSIVE
    assert found.verdict.reason == "segment 1 is not proved"
    assert found.edges == 1, "the edge between the others is compared all the same"
    assert any(extended.digest in note for note in found.verdict.notes)


def test_what_was_proved_whole_is_covered_by_the_pin_of_what_was_extended(
    base: ProofManifest, extended: ProofManifest
) -> None:
    assert judge(extended, frozenset(), pin=base.digest).verdict.outcome is Outcome.ACCEPTED


def test_an_extension_of_another_manifest_is_rejected(base: ProofManifest, extended: ProofManifest) -> None:
    found = judge(replace(extended, model="another"), DEEP, pin=base.digest)
    assert found.verdict.outcome is Outcome.REJECTED
    assert "not the pinned" in found.verdict.reason


def test_a_forged_value_between_two_pieces_names_their_edge(extended: ProofManifest) -> None:
    forged = {3: echo_proof([(7, 9)], [VALUES["b"]])}
    found = judge(extended, DEEP, forged=forged)
    assert found.verdict.outcome is Outcome.REJECTED
    assert found.verdict.reason.startswith("edge 1.1.0 → 1.1.1, `n`: segment 1.1.1 was proved on other values")


def test_a_forged_value_past_the_pieces_names_its_edge(extended: ProofManifest) -> None:
    forged = {4: echo_proof([VALUES["b"], (3, 5)], [VALUES["y"]])}
    assert judge(extended, DEEP, forged=forged).verdict.reason.startswith("edge 0 → 2, `a`")


@pytest.mark.parametrize("wrong", [{(0,)}, {(1, 1)}, {(1,), (1, 0)}, {(7,)}, {()}, {(1,), (1, -1)}])
def test_dividing_what_has_no_pieces_is_rejected(extended: ProofManifest, wrong: set[Place]) -> None:
    bundle = Bundle(
        manifest=proof_manifest_to_bytes(extended), not_proved=frozenset(), divided=frozenset(wrong), proofs={}, keys={}
    )
    found = verified(bundle, extended.digest)
    assert found.verdict.outcome is Outcome.REJECTED
    assert "has no pieces of" in found.verdict.reason


def test_leaving_a_piece_out_is_never_accepted(extended: ProofManifest) -> None:
    flat, _ = expand(extended, DEEP)
    proofs = {
        number: echo_proof([VALUES[w.tensor] for w in s.inputs], [VALUES[w.tensor] for w in s.outputs])
        for number, s in enumerate(flat.segments)
        if number != 2
    }
    bundle = Bundle(
        manifest=proof_manifest_to_bytes(extended), not_proved=frozenset(), divided=DEEP, proofs=proofs, keys={}
    )
    found = verified(bundle, extended.digest).verdict
    assert (found.outcome, found.reason) == (Outcome.REJECTED, "segment 1.1.0: has no proof")
    found = verified(replace(bundle, not_proved=frozenset({2})), extended.digest).verdict
    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, "segment 1.1.0 is not proved")


def test_pieces_that_give_something_else_are_refused(base: ProofManifest) -> None:
    with pytest.raises(ManifestError, match="cannot be linked"):
        extend(base, (1,), (segment({"a": None}, "m"), segment({"m": None}, "n")))
    with pytest.raises(ManifestError, match="cannot be linked"):
        extend(base, (1,), (segment({"elsewhere": None}, "m"), segment({"m": None}, "b")))
    with pytest.raises(ManifestError, match=r"no segment 1\.0"):
        extend(base, (1, 0), (segment({"a": None}, "m"),))


def test_a_piece_is_looked_at_like_a_segment(extended: ProofManifest) -> None:
    bad = replace(find(extended, (1, 0)), onnx="no digest")
    with pytest.raises(ManifestError, match="a piece of segment 1 holds something that is no digest"):
        proof_manifest_from_bytes(
            proof_manifest_to_bytes(
                replace(extended, segments=(extended.segments[0], replace(extended.segments[1], pieces=(bad, bad))))
            ),
            "it",
        )


def test_keys_of_pieces_that_the_pin_does_not_cover_are_left_aside(
    base: ProofManifest, extended: ProofManifest
) -> None:
    """They are no key `that the manifest does not name`: they came with the extension."""
    data = b"a piece's key"
    from partwise.digest import sha256_digest

    key = KeyFile(name="vk", digest=sha256_digest(data), size=len(data))
    piece = find(extended, (1, 0))
    assert piece.circuit is not None
    keyed = replace(piece, circuit=replace(piece.circuit, keys=(key,)))
    made = extend(base, (1,), (keyed, segment({"m": None}, "b")))
    bundle = Bundle(
        manifest=proof_manifest_to_bytes(made),
        not_proved=frozenset(range(4)),
        divided=frozenset({(1,)}),
        proofs={},
        keys={key.digest: data},
    )
    assert verified(bundle, base.digest).verdict.outcome is Outcome.INCONCLUSIVE


def test_an_archive_says_what_is_in_pieces(tmp_path: Any, extended: ProofManifest) -> None:
    bundle = Bundle(
        manifest=proof_manifest_to_bytes(extended), not_proved=frozenset(), divided=DEEP, proofs={0: b"{}"}, keys={}
    )
    write_bundle(tmp_path / "proofs.zip", bundle)
    assert read_bundle(tmp_path / "proofs.zip") == bundle
