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
    "Rules",
    "Timeline",
    "Unit",
    "Unknown",
    "concurrency",
    "estimate",
    "fuse",
    "key_value_traffic",
    "memory",
    "node_groups",
    "node_joules",
    "node_rates",
    "node_seconds",
    "peak_bytes",
    "phase_sizes",
    "profile",
    "saturating_batch",
    "simple_estimate",
    "storage_roots",
    "timeline",
]
