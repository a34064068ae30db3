"""Linking over random DAGs of segments: honest chains are accepted, one changed value is rejected by its edge."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from partwise.ir import DType, Output
from partwise.verification import Outcome
from partwise.verification.zk.bundle import Bundle
from partwise.verification.zk.field import Values
from partwise.verification.zk.manifest import (
    PROOF_VERSION,
    CircuitEntry,
    ProofManifest,
    ProvedSegment,
    Wire,
    proof_manifest_problems,
    proof_manifest_to_bytes,
)
from partwise.verification.zk.settings import CircuitSettings
from partwise.verification.zk.verify import Pin, ProofVerdict, verify_proofs
from zk_echo import EchoProver, echo_proof

SCALE = 3
CIRCUIT = CircuitEntry(settings=CircuitSettings(scale=SCALE), keys=(), rows=1)


@st.composite
def chains(draw: st.DrawFn) -> tuple[ProofManifest, dict[str, Values]]:
    """A DAG of segments with fixed-point values on all its tensors."""
    shapes = st.lists(st.integers(1, 3), max_size=2).map(tuple)
    known = {f"x{n}": (None, draw(shapes)) for n in range(draw(st.integers(1, 2)))}
    model_inputs = list(known)
    segments = list[ProvedSegment]()
    for number in range(draw(st.integers(1, 5))):
        names = draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=4, unique=True))
        taken = tuple(
            Wire(tensor=n, shape=known[n][1], dtype=DType.FLOAT32, scale=SCALE, source=known[n][0]) for n in names
        )
        made = {f"t{number}_{k}": draw(shapes) for k in range(draw(st.integers(1, 2)))}
        given_ = tuple(Wire(tensor=n, shape=s, dtype=DType.FLOAT32, scale=SCALE) for n, s in made.items())
        segments.append(ProvedSegment(onnx=f"sha256:{'0' * 64}", inputs=taken, outputs=given_, circuit=CIRCUIT))
        known |= {name: (number, shape) for name, shape in made.items()}
    last = [wire.tensor for wire in segments[-1].outputs]
    manifest = ProofManifest(
        version=PROOF_VERSION,
        prover="echo",
        prover_version="1",
        model="random",
        package=f"sha256:{'1' * 64}",
        inputs=tuple(Wire(tensor=n, shape=known[n][1], dtype=DType.FLOAT32) for n in model_inputs),
        outputs=tuple(Output(name=f"out_{tensor}", tensor=tensor) for tensor in last),
        segments=tuple(segments),
    )
    values = {
        name: tuple(draw(st.lists(st.integers(-40, 40), min_size=(n := int(np.prod(shape))), max_size=n)))
        for name, (_, shape) in known.items()
    }
    return manifest, values


def judge(manifest: ProofManifest, values: dict[str, Values], proofs: dict[int, bytes]) -> ProofVerdict:
    shapes = {w.tensor: w.shape for s in manifest.segments for w in (*s.inputs, *s.outputs)}
    shapes |= {w.tensor: w.shape for w in manifest.inputs}
    floats = {name: np.array(vs, dtype=np.float64).reshape(shapes[name]) / 2**SCALE for name, vs in values.items()}
    bundle = Bundle(manifest=proof_manifest_to_bytes(manifest), not_proved=frozenset(), proofs=proofs, keys={})
    prover: Any = EchoProver()
    return verify_proofs(
        bundle,
        prover,
        pin=Pin(digest=manifest.digest, by="the test"),
        request={wire.tensor: floats[wire.tensor] for wire in manifest.inputs},
        claim={output.name: floats[output.tensor] for output in manifest.outputs},
    )


def honest(manifest: ProofManifest, values: dict[str, Values]) -> dict[int, bytes]:
    return {
        number: echo_proof([values[w.tensor] for w in s.inputs], [values[w.tensor] for w in s.outputs])
        for number, s in enumerate(manifest.segments)
    }


@given(chains())
def test_an_honest_chain_is_accepted(made: tuple[ProofManifest, dict[str, Values]]) -> None:
    manifest, values = made
    assert not list(proof_manifest_problems(manifest))
    found = judge(manifest, values, honest(manifest, values))
    assert found.verdict.outcome is Outcome.ACCEPTED, found
    assert found.edges == len(list(manifest.edges()))


@given(chains(), st.data())
def test_one_changed_input_is_rejected_by_its_edge_or_end(
    made: tuple[ProofManifest, dict[str, Values]], data: st.DataObject
) -> None:
    manifest, values = made
    number = data.draw(st.integers(0, len(manifest.segments) - 1))
    segment = manifest.segments[number]
    at = data.draw(st.integers(0, len(segment.inputs) - 1))
    wire = segment.inputs[at]
    changed = [values[w.tensor] for w in segment.inputs]
    changed[at] = (changed[at][0] + data.draw(st.integers(1, 5)), *changed[at][1:])
    proofs = honest(manifest, values)
    proofs[number] = echo_proof(changed, [values[w.tensor] for w in segment.outputs])
    found = judge(manifest, values, proofs).verdict
    assert found.outcome is Outcome.REJECTED
    if wire.source is None:
        assert found.reason == f"segment {number}, input `{wire.tensor}` was proved on other values than the request"
    else:
        assert found.reason.startswith(f"edge {wire.source} → {number}, `{wire.tensor}`")


@given(chains(), st.data())
def test_a_part_of_the_proofs_is_never_accepted(
    made: tuple[ProofManifest, dict[str, Values]], data: st.DataObject
) -> None:
    manifest, values = made
    proofs = honest(manifest, values)
    del proofs[data.draw(st.sampled_from(sorted(proofs)))]
    assert judge(manifest, values, proofs).verdict.outcome is Outcome.REJECTED
