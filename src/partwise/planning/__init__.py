"""Where to divide a graph, and how good the answer can be at most.

In: a `Graph`, its `Profile`, limits and objectives. Out: a `Plan` with a lower bound.
Never: a clock, a framework, unseeded randomness; the same arguments give the same plan, byte for byte.
"""

from partwise.planning.check import check_plan, violations
from partwise.planning.choose import SOLVERS
from partwise.planning.constraints import UNCONSTRAINED, Constraints, Pin, parse_constraints
from partwise.planning.plan import default_objectives, plan
from partwise.planning.records import Blend, Bound, Cut, Level, Limits, Objective, Plan, Share, Stage
from partwise.planning.serialize import plan_digest, plan_from_data, plan_to_data
from partwise.planning.weighted_text import parse_objectives
from partwise.planning.workload import Placement, parse_workload, place

__all__ = [
    "SOLVERS",
    "UNCONSTRAINED",
    "Blend",
    "Bound",
    "Constraints",
    "Cut",
    "Level",
    "Limits",
    "Objective",
    "Pin",
    "Placement",
    "Plan",
    "Share",
    "Stage",
    "check_plan",
    "default_objectives",
    "parse_constraints",
    "parse_objectives",
    "parse_workload",
    "place",
    "plan",
    "plan_digest",
    "plan_from_data",
    "plan_to_data",
    "violations",
]
