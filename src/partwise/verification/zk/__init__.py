"""Zero-knowledge proofs of segments, linked into a proof of the whole.

In: segments as ONNX, settings, inputs; or proofs, a pinned manifest and a claim. Out: keys, proofs, a `Verdict`.
Never: a circuit, setting or key that the judged party names; only the pinned manifest's digests are believed.
"""

from partwise.verification.zk.settings import CircuitSettings, Visibility

__all__ = ["CircuitSettings", "Visibility"]
