"""What a graph costs at given sizes, counted before anything runs.

In: a `Graph` and sizes for its symbols. Out: `Profile`, a `Cost` a node, and the memory timeline of any part.
Never: a measurement, a framework, the name of a model.
"""

from partwise.profiling.cost import Bound, Cost
from partwise.profiling.estimate import Estimate, Group, GroupEstimate, estimate, node_groups
from partwise.profiling.latency import node_joules, node_seconds
from partwise.profiling.liveness import Timeline, storage_roots, timeline
from partwise.profiling.products import Parallelism
from partwise.profiling.profile import Profile, Unknown, profile
from partwise.profiling.simple import simple_estimate

__all__ = [
    "Bound",
    "Cost",
    "Estimate",
    "Group",
    "GroupEstimate",
    "Parallelism",
    "Profile",
    "Timeline",
    "Unknown",
    "estimate",
    "node_groups",
    "node_joules",
    "node_seconds",
    "profile",
    "simple_estimate",
    "storage_roots",
    "timeline",
]
