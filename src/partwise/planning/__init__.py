"""Where to divide a graph, and how good the answer can be at most.

In: a `Graph`, its `Profile`, limits and objectives. Out: a `Plan` with a lower bound.
Never: a clock, a framework, unseeded randomness; the same arguments give the same plan, byte for byte.
"""

from partwise.planning.check import check_plan, violations
from partwise.planning.choose import SOLVERS
from partwise.planning.emitting import Emission, Target, emission_to_data, emit
from partwise.planning.plan import default_objectives, plan
from partwise.planning.records import Bound, Cut, Level, Limits, Objective, Plan, Stage
from partwise.planning.serialize import plan_digest, plan_from_data, plan_to_data
from partwise.planning.workload import Placement, parse_workload, place

__all__ = [
    "SOLVERS",
    "Bound",
    "Cut",
    "Emission",
    "Level",
    "Limits",
    "Objective",
    "Placement",
    "Plan",
    "Stage",
    "Target",
    "check_plan",
    "default_objectives",
    "emission_to_data",
    "emit",
    "parse_workload",
    "place",
    "plan",
    "plan_digest",
    "plan_from_data",
    "plan_to_data",
    "violations",
]
