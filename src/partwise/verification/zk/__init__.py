"""Zero-knowledge proofs of segments, linked into a proof of the whole.

In: segments as ONNX, settings, inputs; or proofs, a pinned manifest and a claim. Out: keys, proofs, a `Verdict`.
Never: a circuit, setting or key that the judged party names; only the pinned manifest's digests are believed.
"""

from partwise.verification.zk.command_templates import read_templates
from partwise.verification.zk.limits import CallLimits
from partwise.verification.zk.manifest import ProofManifest
from partwise.verification.zk.prover import Prover
from partwise.verification.zk.provers import PROVERS, make_prover
from partwise.verification.zk.settings import CircuitSettings, Visibility
from partwise.verification.zk.verify import Pin, ProofVerdict, SegmentVerdict, verify_proofs

__all__ = [
    "PROVERS",
    "CallLimits",
    "CircuitSettings",
    "Pin",
    "ProofManifest",
    "ProofVerdict",
    "Prover",
    "SegmentVerdict",
    "Visibility",
    "make_prover",
    "read_templates",
    "verify_proofs",
]
