"""What a segment only moves is read off its ONNX; what a manifest says is moved is checked before anything is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from circuit_models import chain
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
from partwise.verification.zk.moves import MOST_MOVED, Move, Share, carried, moves_of, scales_of
from partwise.verification.zk.settings import CircuitSettings, Visibility

DIGEST = f"sha256:{'0' * 64}"


def numbers(**kept: list[int]) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in kept.items()}


def moved(nodes: list[tuple], **constants: list[int]) -> tuple[Move, ...]:
    """Of x [2, 6], with constants of int64."""
    proto = onnx.load_from_string(chain([2, 6], nodes, {}))
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(values, np.int64), name) for name, values in constants.items()
    )
    return moves_of(proto.SerializeToString())


ONE = {"first": [1], "last": [4], "axis": [-1]}


def test_slices_and_joins_are_moves() -> None:
    nodes = [
        ("Slice", ["x", "first", "last", "axis"], "s", {}),
        ("Concat", ["s", "x"], "y", {"axis": -1}),
    ]
    moves = moved(nodes, **ONE)
    x = np.arange(12).reshape(2, 6)
    assert [move.axis for move in moves] == [1, 1]
    assert carried(moves, {"x": x})["y"].tolist() == np.concatenate([x[:, 1:4], x], axis=1).tolist()
    assert carried(moves, {}) == {}, "of what is not there nothing is made"


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([("Relu", ["x"], "y", {})], {}),
        ([("Slice", ["x", "first", "last", "axis", "step"], "y", {})], ONE | {"step": [2]}),
        ([("Slice", ["x", "first", "last", "axis", "step"], "y", {})], ONE | {"step": [-1], "last": [0]}),
        ([("Slice", ["x", "two", "two", "two"], "y", {})], {"two": [0, 1]}),
        ([("Concat", ["x", "held"], "y", {"axis": 0})], {"held": [1]}),
        ([("Slice", ["x", "first", "last", "axis"], "s", {}), ("Relu", ["s"], "y", {})], ONE),
    ],
)
def test_everything_else_is_computed(nodes: list[tuple], constants: dict[str, list[int]]) -> None:
    assert moved(nodes, **constants) == ()


def test_what_is_put_together_of_two_scales_has_none() -> None:
    both = Move(tensor="y", axis=0, shares=(Share(tensor="a", first=0, last=1), Share(tensor="b", first=0, last=1)))
    assert scales_of((both,), {"a": 3, "b": 3}) == {"y": 3}
    assert scales_of((both,), {"a": 3, "b": 4}) == {}
    assert scales_of((both,), {"a": 3}) == {}


def wire(tensor: str, shape: tuple[int, ...], source: int | None = None, scale: int | None = 3) -> Wire:
    return Wire(tensor=tensor, shape=shape, dtype=DType.FLOAT32, scale=scale, source=source)


def share(tensor: str, first: int, last: int) -> Share:
    return Share(tensor=tensor, first=first, last=last)


def manifest(*moves: Move, size: int = 4, out: int = 2, **changes: object) -> ProofManifest:
    """x → half (moved) → y (proved)."""
    circuit = CircuitEntry(settings=CircuitSettings(scale=3), keys=(), rows=1)
    first = ProvedSegment(
        onnx=DIGEST,
        inputs=(wire("x", (2, size), scale=None),),
        outputs=(wire("half", (2, out), scale=None),),
        moves=moves or (Move(tensor="half", axis=1, shares=(share("x", 1, 3),)),),
    )
    second = ProvedSegment(
        onnx=DIGEST, inputs=(wire("half", (2, out), 0),), outputs=(wire("y", (2, 2)),), circuit=circuit
    )
    return ProofManifest(
        version=PROOF_VERSION,
        prover="echo",
        prover_version="1",
        model="m",
        package=DIGEST,
        inputs=(wire("x", (2, size), scale=None),),
        outputs=(Output(name="y", tensor="y"),),
        segments=(replace(first, **changes), second),  # pyright: ignore[reportArgumentType]
    )


def test_a_sound_one_survives_and_one_without_moves_says_nothing_of_them() -> None:
    data = proof_manifest_to_bytes(manifest())
    assert proof_manifest_from_bytes(data, "test") == manifest()
    assert data.count(b'"moves"') == 1, "a segment that moves nothing has the bytes that it had before there were moves"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (manifest(Move(tensor="half", axis=1, shares=(share("x", 2, 5),))), "more than there is"),
        (manifest(Move(tensor="half", axis=1, shares=(share("x", -2, 0),))), "more than there is"),
        (manifest(Move(tensor="half", axis=1, shares=(share("x", 3, 1),))), "more than there is"),
        (manifest(Move(tensor="half", axis=2, shares=(share("x", 0, 2),))), "axis that there is not"),
        (manifest(Move(tensor="half", axis=-1, shares=(share("x", 0, 2),))), "axis that there is not"),
        (manifest(Move(tensor="half", axis=1, shares=(share("z", 0, 2),))), "what it does not take"),
        (manifest(Move(tensor="half", axis=1, shares=())), "what it does not take"),
        (manifest(Move(tensor="half", axis=1, shares=(share("x", 0, 3),))), "what is to be there"),
        (manifest(Move(tensor="other", axis=1, shares=(share("x", 0, 2),))), "what is to be there"),
        (manifest(Move(tensor="x", axis=1, shares=(share("x", 0, 2),))), "twice"),
        (manifest(*[Move(tensor="half", axis=1, shares=(share("x", 0, 2),))] * 2), "twice"),
        (
            manifest(*(Move(tensor=name, axis=1, shares=(share("x", 1, 3),)) for name in ("y", "half"))),
            "under the name of another tensor, `y`",
        ),
        (manifest(circuit=manifest().segments[1].circuit), "proved too"),
        (manifest(pieces=(manifest().segments[0],)), "a piece that moves"),
        (manifest(size=MOST_MOVED), "absurdly much"),
        (
            manifest(
                *(
                    Move(tensor=f"t{n}", axis=0, shares=(share(f"t{n - 1}" if n else "x", 0, 2 << n),) * 2)
                    for n in range(22)
                ),
                Move(tensor="half", axis=1, shares=(share("x", 0, 2),)),
            ),
            "absurdly much",
        ),
        (manifest(Move(tensor="\u202eoper", axis=1, shares=(share("x", 0, 2),))), "nobody could read"),
    ],
)
def test_each_broken_promise_is_named(made: ProofManifest, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        proof_manifest_from_bytes(proof_manifest_to_bytes(made), "test")


def test_values_that_proofs_hide_are_not_moved() -> None:
    made = manifest()
    hidden = CircuitEntry(settings=CircuitSettings(visibility=Visibility.HASHED), keys=(), rows=1)
    made = replace(made, segments=(made.segments[0], replace(made.segments[1], circuit=hidden)))
    with pytest.raises(ManifestError, match="do not show"):
        proof_manifest_from_bytes(proof_manifest_to_bytes(made), "test")
