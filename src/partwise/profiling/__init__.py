"""What a graph costs at given sizes, counted before anything runs.

In: a `Graph` and sizes for its symbols. Out: `Profile`, a `Cost` a node, and the memory timeline of any part.
Never: a measurement, a framework, the name of a model.
"""

from partwise.profiling.concurrency import Concurrency, concurrency, saturating_batch
from partwise.profiling.cost import Bound, Cost
from partwise.profiling.estimate import Estimate, Group, GroupEstimate, estimate, node_groups
from partwise.profiling.fusion import FAST_MEMORY_BYTES, Fusion, Rules, fuse
from partwise.profiling.fusion_flow import Unit
from partwise.profiling.latency import NodeRates, node_joules, node_rates, node_seconds
from partwise.profiling.liveness import Timeline, peak_bytes, storage_roots, timeline
from partwise.profiling.memory import Alive, Memory, memory
from partwise.profiling.phase import KeyValueTraffic, Logits, Phase, key_value_traffic, phase_sizes
from partwise.profiling.products import Parallelism
from partwise.profiling.profile import Profile, Unknown, profile
from partwise.profiling.proof import ProofCost, ProofSettings, ProofWork, proof_cost
from partwise.profiling.proof_choice import ProofChoice, choose_settings
from partwise.profiling.proof_line import node_proof_seconds, proof_line
from partwise.profiling.proof_work import graph_work, part_work
from partwise.profiling.simple import simple_estimate

__all__ = [
    "FAST_MEMORY_BYTES",
    "Alive",
    "Bound",
    "Concurrency",
    "Cost",
    "Estimate",
    "Fusion",
    "Group",
    "GroupEstimate",
    "KeyValueTraffic",
    "Logits",
    "Memory",
    "NodeRates",
    "Parallelism",
    "Phase",
    "Profile",
    "ProofChoice",
    "ProofCost",
    "ProofSettings",
    "ProofWork",
    "Rules",
    "Timeline",
    "Unit",
    "Unknown",
    "choose_settings",
    "concurrency",
    "estimate",
    "fuse",
    "graph_work",
    "key_value_traffic",
    "memory",
    "node_groups",
    "node_joules",
    "node_proof_seconds",
    "node_rates",
    "node_seconds",
    "part_work",
    "peak_bytes",
    "phase_sizes",
    "profile",
    "proof_cost",
    "proof_line",
    "saturating_batch",
    "simple_estimate",
    "storage_roots",
    "timeline",
]
