"""Why no plan meets a demand: constraints that leave too little to choose, else the limits or the cluster."""

from __future__ import annotations

from dataclasses import replace

from partwise.errors import InfeasibleError
from partwise.hardware import Cluster
from partwise.planning.demand import Demand, Solver
from partwise.planning.infeasible.cluster import explain_cluster
from partwise.planning.infeasible.limits import explain_limits
from partwise.planning.orders import orders
from partwise.planning.problem import Problem
from partwise.planning.records import Limits, Objective
from partwise.planning.slicing import Line

__all__ = ["why_infeasible"]


def why_infeasible(problem: Problem, demand: Demand, solve: Solver) -> InfeasibleError:
    """The error for a demand that no plan meets.

    Args:
        problem: the graph as arrays.
        demand: what was asked for.
        solve: asked again on clusters with more memory.
    """
    limits = demand.limits
    if (limits.stages or 1) > len(problem.units) and problem.notes:
        most, text = len(problem.units), "; ".join(problem.notes)
        return InfeasibleError("stages", f"the constraints leave too few units: {text}", expected=f"at most {most}",
                               got=limits.stages)  # fmt: skip
    homes = sorted(set(problem.homes.values()))
    if len(homes) > (limits.stages or len(homes)):
        what = f"nodes are pinned to {', '.join(homes)}, one stage each"
        return InfeasibleError("stages", what, expected=f"at least {len(homes)}", got=limits.stages)
    if problem.cluster.is_open or (limits.stages or 1) > len(problem.units):
        return explain_limits(
            [Line(problem, order) for _, order in orders(problem, demand.effort, demand.seed)], limits
        )

    def fits(cluster: Cluster, limits: Limits) -> bool:
        evaluator = demand.evaluator.on(cluster)
        again = replace(demand, evaluator=evaluator, limits=limits, objectives=(Objective.BALANCE,))  # the quickest
        return solve(replace(problem, cluster=cluster, rates=evaluator.rates), again) is not None

    return explain_cluster(problem, limits, fits)
