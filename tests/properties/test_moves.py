"""Linking through moved values, over random cuts: honest chains are accepted, one other value is rejected."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from partwise.digest import canonical_json
from partwise.ir import DType, Output
from partwise.verification import Outcome
from partwise.verification.zk.bundle import Bundle
from partwise.verification.zk.manifest import (
    PROOF_VERSION,
    CircuitEntry,
    ProofManifest,
    ProvedSegment,
    Wire,
    proof_manifest_from_bytes,
    proof_manifest_to_bytes,
)
from partwise.verification.zk.moves import Move, Share
from partwise.verification.zk.settings import CircuitSettings
from partwise.verification.zk.verify import Pin, ProofVerdict, verify_proofs
from zk_echo import EchoProver, echo_proof

SCALE = 3
CIRCUIT = CircuitEntry(settings=CircuitSettings(scale=SCALE), keys=(), rows=1)
FEW = settings(max_examples=20)
ONNX = f"sha256:{'0' * 64}"


@dataclass(frozen=True)
class Chain:
    """x is taken in parts with a halo, each is proved, the next ones take rows of two of these, y is put together."""

    manifest: ProofManifest
    values: dict[str, np.ndarray]

    def bundle(self, forged: tuple[int, str, int] | None = None) -> Bundle:
        """Honest proofs, or one that says another value: (segment, inputs or outputs, element)."""
        proofs = dict[int, bytes]()
        for number, segment in enumerate(self.manifest.segments):
            if segment.circuit is None:
                continue
            said = {
                side: [[int(v) for v in self.values[wire.tensor].reshape(-1)] for wire in getattr(segment, side)]
                for side in ("inputs", "outputs")
            }
            if forged is not None and forged[0] == number:
                said[forged[1]][0][forged[2] % len(said[forged[1]][0])] += 1
            proofs[number] = echo_proof(
                [tuple(values) for values in said["inputs"]], [tuple(values) for values in said["outputs"]]
            )
        data = proof_manifest_to_bytes(self.manifest)
        return Bundle(manifest=data, not_proved=frozenset(), proofs=proofs, keys={})

    def judge(self, bundle: Bundle, **changes: object) -> ProofVerdict:
        ends = {"request": {"x": self.values["x"] / 2**SCALE}, "claim": {"out": self.values["y"] / 2**SCALE}}
        pin = Pin(digest=self.manifest.digest, by="the client")
        return verify_proofs(bundle, EchoProver(), pin=pin, **(ends | changes))  # pyright: ignore[reportArgumentType]


def wire(tensor: str, array: np.ndarray, source: int | None = None, scale: int | None = SCALE) -> Wire:
    return Wire(tensor=tensor, shape=array.shape, dtype=DType.FLOAT32, scale=scale, source=source)


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    shape = draw(st.lists(st.integers(2, 5), min_size=1, max_size=3))
    axis = draw(st.integers(0, len(shape) - 1))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    values = {"x": random.integers(-40, 40, shape)}

    def rows(name: str, first: int, last: int) -> np.ndarray:
        return np.take(values[name], range(first, last), axis=axis)

    size = shape[axis]
    cut = draw(st.integers(1, size - 1))
    spans = [(0, min(size, cut + 1)), (cut, size)]
    taken = list[Move]()
    for number, (first, last) in enumerate(spans):
        values[f"x{number}"] = rows("x", first, last)
        taken.append(Move(tensor=f"x{number}", axis=axis, shares=(Share(tensor="x", first=first, last=last),)))
    values["a"] = random.integers(-40, 40, [*shape[:axis], cut, *shape[axis + 1 :]])
    values["b"] = random.integers(-40, 40, [*shape[:axis], size - cut, *shape[axis + 1 :]])
    values["middle"] = np.concatenate([rows("a", cut - 1, cut), rows("b", 0, 1)], axis=axis)
    values["c"] = random.integers(-40, 40, values["middle"].shape)
    values["y"] = np.concatenate([values["c"], values["b"]], axis=axis)
    shares = (Share(tensor="a", first=cut - 1, last=cut), Share(tensor="b", first=0, last=1))
    middle = Move(tensor="middle", axis=axis, shares=shares)
    joined = tuple(Share(tensor=name, first=0, last=values[name].shape[axis]) for name in ("c", "b"))

    def segment(takes: dict[str, int | None], gives: list[str], moves: tuple[Move, ...] = ()) -> ProvedSegment:
        scale = None if moves else SCALE
        return ProvedSegment(
            onnx=ONNX,
            inputs=tuple(wire(name, values[name], source, scale) for name, source in takes.items()),
            outputs=tuple(wire(name, values[name], None, scale) for name in gives),
            circuit=None if moves else CIRCUIT,
            moves=moves,
        )

    segments = (
        segment({"x": None}, ["x0", "x1"], tuple(taken)),
        segment({"x0": 0}, ["a"]),
        segment({"x1": 0}, ["b"]),
        segment({"a": 1, "b": 2}, ["middle"], (middle,)),
        segment({"middle": 3}, ["c"]),
        segment({"c": 4, "b": 2}, ["y"], (Move(tensor="y", axis=axis, shares=joined),)),
    )
    manifest = ProofManifest(
        version=PROOF_VERSION,
        prover="echo",
        prover_version="1",
        model="random",
        package=f"sha256:{'1' * 64}",
        inputs=(wire("x", values["x"], None, None),),
        outputs=(Output(name="out", tensor="y"),),
        segments=segments,
    )
    return Chain(manifest, values)


@FEW
@given(chains())
def test_honest_chains_are_accepted(chain: Chain) -> None:
    data = proof_manifest_to_bytes(chain.manifest)
    assert proof_manifest_from_bytes(data, "test") == chain.manifest
    found = chain.judge(chain.bundle())
    assert found.verdict.outcome is Outcome.ACCEPTED, found.verdict
    assert found.edges == 3, "two parts of the request, and rows of two proofs"
    assert [one.state for one in found.segments].count("moved") == 3


@FEW
@given(chains(), st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_a_proof_on_other_inputs_is_rejected(chain: Chain, segment: int, element: int) -> None:
    verdict = chain.judge(chain.bundle((segment, "inputs", element))).verdict
    assert verdict.outcome is Outcome.REJECTED
    said = "than segment" if segment == 4 else "than the request"
    assert f"segment {segment}" in verdict.reason
    assert said in verdict.reason


@FEW
@given(chains(), st.sampled_from([2, 4]), st.integers(0, 99))
def test_other_values_given_are_rejected_where_they_are_taken_or_claimed(
    chain: Chain, segment: int, element: int
) -> None:
    """Everything that segments 2 and 4 give is in the claim."""
    verdict = chain.judge(chain.bundle((segment, "outputs", element))).verdict
    assert verdict.outcome is Outcome.REJECTED
    assert any("is not what was proved" in text for text in (verdict.reason, *verdict.notes))


@FEW
@given(chains(), st.data())
def test_another_request_or_claim_is_rejected(chain: Chain, data: st.DataObject) -> None:
    which, name, tensor = data.draw(st.sampled_from([("request", "x", "x"), ("claim", "out", "y")]))
    other = chain.values[tensor].copy()
    other.reshape(-1)[data.draw(st.integers(0, other.size - 1))] += 1
    assert chain.judge(chain.bundle(), **{which: {name: other / 2**SCALE}}).verdict.outcome is Outcome.REJECTED


@FEW
@given(chains(), st.sampled_from(["request", "claim"]))
def test_without_request_or_claim_nothing_is_accepted(chain: Chain, which: str) -> None:
    assert chain.judge(chain.bundle(), **{which: None}).verdict.outcome is Outcome.INCONCLUSIVE


@FEW
@given(chains(), st.sampled_from([1, 2, 4]))
def test_a_proof_left_out_is_not_made_up_for_by_moves(chain: Chain, segment: int) -> None:
    honest = chain.bundle()
    kept = {number: proof for number, proof in honest.proofs.items() if number != segment}
    assert chain.judge(replace(honest, proofs=kept)).verdict.outcome is Outcome.REJECTED
    told = replace(honest, proofs=kept, not_proved=frozenset({segment}))
    assert chain.judge(told).verdict.outcome is Outcome.INCONCLUSIVE


@FEW
@given(chains())
def test_a_request_of_another_shape_or_name_is_rejected(chain: Chain) -> None:
    for request in ({"x": np.zeros(3)}, {}, {"x": chain.values["x"] / 2**SCALE, "z": np.zeros(1)}):
        assert chain.judge(chain.bundle(), request=request).verdict.outcome is Outcome.REJECTED
    odd = {"out": np.full(chain.values["y"].shape, 0.3)}
    assert chain.judge(chain.bundle(), claim=odd).verdict.outcome is Outcome.REJECTED


@FEW
@given(chains(), st.data())
def test_a_proof_of_what_is_only_moved_belongs_to_nothing(chain: Chain, data: st.DataObject) -> None:
    honest = chain.bundle()
    number = data.draw(st.sampled_from([0, 3, 5]))
    proofs = {**honest.proofs, number: canonical_json({"inputs": [], "outputs": []})}
    assert chain.judge(replace(honest, proofs=proofs)).verdict.outcome is Outcome.REJECTED


@FEW
@given(chains())
def test_values_put_together_at_two_scales_are_rejected(chain: Chain) -> None:
    """Equal field elements at another scale are other values."""
    segments = list(chain.manifest.segments)
    segments[1] = replace(segments[1], outputs=(replace(segments[1].outputs[0], scale=SCALE + 1),))
    other = Chain(replace(chain.manifest, segments=tuple(segments)), chain.values)
    verdict = other.judge(other.bundle()).verdict
    assert verdict.outcome is Outcome.REJECTED
    assert "another scale" in verdict.reason
