"""Where to divide a graph, and how good the answer can be at most.

In: a `Graph`, its `Profile`, limits and objectives. Out: a `Plan` with a lower bound.
Never: a clock, a framework, unseeded randomness; the same arguments give the same plan, byte for byte.
"""

from partwise.planning.plan import plan
from partwise.planning.records import Bound, Cut, Level, Limits, Objective, Plan, Stage

__all__ = ["Bound", "Cut", "Level", "Limits", "Objective", "Plan", "Stage", "plan"]
