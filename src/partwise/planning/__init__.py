"""Where to divide a graph, and how good the answer can be at most.

In: a `Graph`, its `Profile`, limits and objectives. Out: a `Plan` with a lower bound.
Never: a clock, a framework, unseeded randomness; the same arguments give the same plan, byte for byte.
"""

from partwise.planning.check import check_plan, violations
from partwise.planning.choose_solver import SOLVERS
from partwise.planning.constraints import UNCONSTRAINED, Constraints, Pin, parse_constraints
from partwise.planning.emitting import Emission, Target, emission_to_data, emit
from partwise.planning.explaining import BoundaryReason, Explanation, Move, StageReason, WhatIf, explain_plan
from partwise.planning.objectives_text import format_value, parse_objectives
from partwise.planning.pareto import AXES, Front, FrontPoint, pareto
from partwise.planning.phases import Alternative, Answer, PhasePlan, plan_phases
from partwise.planning.plan import default_objectives, plan
from partwise.planning.records import Blend, Bound, Cut, Level, Limits, Objective, Plan, Share, Stage
from partwise.planning.reserve import Reserve
from partwise.planning.schedule import plan_batch
from partwise.planning.serialize import plan_digest, plan_from_data, plan_to_data
from partwise.planning.terms import Terms
from partwise.planning.workload import Placement, Workload, parse_workload, place

__all__ = [
    "AXES",
    "SOLVERS",
    "UNCONSTRAINED",
    "Alternative",
    "Answer",
    "Blend",
    "Bound",
    "BoundaryReason",
    "Constraints",
    "Cut",
    "Emission",
    "Explanation",
    "Front",
    "FrontPoint",
    "Level",
    "Limits",
    "Move",
    "Objective",
    "PhasePlan",
    "Pin",
    "Placement",
    "Plan",
    "Reserve",
    "Share",
    "Stage",
    "StageReason",
    "Target",
    "Terms",
    "WhatIf",
    "Workload",
    "check_plan",
    "default_objectives",
    "emission_to_data",
    "emit",
    "explain_plan",
    "format_value",
    "pareto",
    "parse_constraints",
    "parse_objectives",
    "parse_workload",
    "place",
    "plan",
    "plan_batch",
    "plan_digest",
    "plan_from_data",
    "plan_phases",
    "plan_to_data",
    "violations",
]
