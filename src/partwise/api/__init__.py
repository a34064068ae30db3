"""The six functions, each one arrow of model → graph → profile → plan → package → run → verdict.

They compose the packages below and decide nothing themselves.
"""

from partwise.api.models import capture, capture_with, sizes_for
from partwise.api.packages import cut, package_of, run
from partwise.api.plans import explain, pareto, place_workload, plan, plan_phases
from partwise.api.profiles import devices, estimate, estimate_counted, profile
from partwise.api.verdicts import verify
from partwise.plan_files import load_plan

__all__ = [
    "capture",
    "capture_with",
    "cut",
    "devices",
    "estimate",
    "estimate_counted",
    "explain",
    "load_plan",
    "package_of",
    "pareto",
    "place_workload",
    "plan",
    "plan_phases",
    "profile",
    "run",
    "sizes_for",
    "verify",
]
