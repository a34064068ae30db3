"""Manifests of proofs made by hand, for tests that need no circuit."""

from __future__ import annotations

from dataclasses import replace

from partwise.ir import DType, Output
from partwise.verification.zk.manifest import PROOF_VERSION, CircuitEntry, ProofManifest, ProvedSegment, Wire
from partwise.verification.zk.settings import CircuitSettings

__all__ = ["DIGEST", "one_segment"]

DIGEST = "sha256:" + "0" * 64


def one_segment(dtype: DType) -> ProofManifest:
    """One proved segment, x → y, of one whole number each."""
    x, y = Wire(tensor="x", shape=(1,), dtype=dtype, scale=0), Wire(tensor="y", shape=(1,), dtype=dtype, scale=0)
    entry = ProvedSegment(
        onnx=DIGEST, inputs=(x,), outputs=(y,), circuit=CircuitEntry(settings=CircuitSettings(), keys=(), rows=1)
    )
    return ProofManifest(
        version=PROOF_VERSION,
        prover="ezkl",
        prover_version="1",
        model="m",
        package=DIGEST,
        inputs=(replace(x, scale=None),),
        outputs=(Output(name="y", tensor="y"),),
        segments=(entry,),
    )
