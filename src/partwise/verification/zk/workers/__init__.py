"""Proving farmed to workers: processes of this machine, each proving one witness at a time.

In: circuits and witnesses; whoever divides a segment and judges its proof. Out: proofs, in any order.
Never: belief in a worker's word: the caller checks every proof. What runs where is `runtime.schedule`'s to decide.
"""

from partwise.verification.zk.workers.farm import prove_all
from partwise.verification.zk.workers.work import PROVING, Farm, Job, Work

__all__ = ["PROVING", "Farm", "Job", "Work", "prove_all"]
