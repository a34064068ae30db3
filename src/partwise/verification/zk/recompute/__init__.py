"""A second prover: commit to every activation, then show some of them, chosen by the commitment, to be recomputed.

In: a circuit in integer mode. Out: a Merkle root over all its values, and openings that anyone with the pinned model
can recompute. Never: zero knowledge, nor more certainty than the number of openings gives (docs/adr/0014-provers.md).
"""

from partwise.verification.zk.recompute.isolated import make_recompute
from partwise.verification.zk.recompute.prover import RecomputeProver

__all__ = ["RecomputeProver", "make_recompute"]
