"""A solver's division as a plan: priced anew, and checked before anybody sees it."""

from __future__ import annotations

from collections.abc import Sequence

from partwise.errors import PlanError
from partwise.planning.check import gap_of, value_of, violations
from partwise.planning.constraints import UNCONSTRAINED, Constraints
from partwise.planning.demand import Demand, Solution
from partwise.planning.records import Bound, Level, Plan

__all__ = ["checked_plan", "priced_plan"]

_ROUNDING = 1e-9  # relative; a bound and a value of the same sums may differ by this
_DEFECT = 1e-6  # relative; a bound that lies farther above a value that was reached is wrong


def checked_plan(
    answer: tuple[Solution, Bound],
    demand: Demand,
    constraints: Constraints,
    weights: Sequence[tuple[float, float]] = (),
) -> Plan:
    """The record, priced and checked; `weights` holds a weight and a scale for each objective of a weighted sum."""
    made = priced_plan(answer, demand, constraints, weights)
    if found := list(violations(made, demand.evaluator)):
        raise PlanError("the solver's answer", f"breaks an invariant (a bug, please report): {found[0]}")
    least = answer[1].value
    if least > made.value + _DEFECT * abs(made.value):
        what = f"of `{made.bound_origin}` lies above a plan that exists (a bug, please report)"
        raise PlanError("bound", what, expected=f"at most {made.value}", got=least)
    return made


def priced_plan(
    answer: tuple[Solution, Bound],
    demand: Demand,
    constraints: Constraints = UNCONSTRAINED,
    weights: Sequence[tuple[float, float]] = (),
) -> Plan:
    """A division as a plan, priced and not yet checked.

    Args:
        answer: the division, and a bound for all that it is compared with.
        demand: what was asked for.
        constraints: what was to be kept.
        weights: a weight and a scale for each objective of a weighted sum.
    """
    evaluator, wanted = demand.evaluator, demand.objectives
    solution, bound = answer
    contraction, profile = evaluator.contraction, evaluator.profile
    stages, cuts = evaluator.price(solution.assignment, solution.devices)
    values = evaluator.measured(stages, cuts, wanted)
    both = weights or [(None, None)] * len(wanted)
    levels = tuple(
        Level(objective=o, value=value, weight=weight, scale=scale)
        for o, value, (weight, scale) in zip(wanted, values, both, strict=True)
    )
    value, least = value_of(levels), float(bound.value)
    if value <= least * (1 + _ROUNDING):
        least = value
    return Plan(
        graph=contraction.graph,
        sizes=profile.sizes,
        limits=demand.limits,
        reserve=evaluator.rates.reserve,
        fusion=evaluator.rates.rules,
        constraints=constraints,
        levels=levels,
        value=value,
        bound=least,
        bound_origin=bound.origin,
        bound_plans=bound.plans,
        gap=gap_of(value, least),
        solver=solution.how,
        cluster=evaluator.cluster,
        stages=stages,
        cuts=cuts,
        notes=solution.notes,
    )
