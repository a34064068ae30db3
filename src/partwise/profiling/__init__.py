"""What a graph costs at given sizes, counted before anything runs.

In: a `Graph` and sizes for its symbols. Out: `Profile`, a `Cost` a node, and the memory timeline of any part.
Never: a measurement, a framework, the name of a model.
"""

from partwise.profiling.cost import Bound, Cost
from partwise.profiling.latency import node_joules, node_seconds
from partwise.profiling.liveness import Timeline, storage_roots, timeline
from partwise.profiling.products import Parallelism, Product
from partwise.profiling.profile import Profile, Unknown, profile

__all__ = [
    "Bound",
    "Cost",
    "Parallelism",
    "Product",
    "Profile",
    "Timeline",
    "Unknown",
    "node_joules",
    "node_seconds",
    "profile",
    "storage_roots",
    "timeline",
]
