"""Why there is no plan: the smallest limit that works, or how much more memory the devices of a cluster need.

In: a `Problem` and a `Demand` that no solver met. Out: the `InfeasibleError` that says what would do.
Never: a plan.
"""

from partwise.planning.infeasible.why import why_infeasible

__all__ = ["why_infeasible"]
