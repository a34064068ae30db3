"""Why a plan is as it is: the binding limit of each stage, the price of each cut elsewhere, the worth of more hardware.

In: a `Plan` and its profile. Out: an `Explanation`.
Never: another judge than the planner's own evaluator and solvers.
"""

from partwise.planning.explaining.explain import explain_plan
from partwise.planning.explaining.records import BoundaryReason, Explanation, Move, StageReason, WhatIf

__all__ = ["BoundaryReason", "Explanation", "Move", "StageReason", "WhatIf", "explain_plan"]
