"""What a graph costs at given sizes, counted before anything runs.

In: a `Graph` and sizes for its symbols. Out: `Profile`, a `Cost` a node, and the memory timeline of any part.
Never: a measurement, a framework, the name of a model.
"""

from partwise.profiling.cost import Cost
from partwise.profiling.fusion import FAST_MEMORY_BYTES, Fusion, Rules, fuse
from partwise.profiling.fusion_flow import Unit
from partwise.profiling.liveness import Timeline, storage_roots, timeline
from partwise.profiling.profile import Profile, profile

__all__ = [
    "FAST_MEMORY_BYTES", "Cost", "Fusion", "Profile", "Rules", "Timeline", "Unit", "fuse", "profile", "storage_roots",
    "timeline",
]  # fmt: skip
