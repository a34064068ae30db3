"""Cut: one graph file a segment, from a plan.

In: a `Plan` (which holds the graph). Out: segments with their interfaces, ready to be packaged.
Never: a decision about where to cut; a weight's values.
"""

from partwise.cutting.cut import cut_plan, encode_part, encode_whole
from partwise.cutting.segment import segment_graph

__all__ = ["cut_plan", "encode_part", "encode_whole", "segment_graph"]
