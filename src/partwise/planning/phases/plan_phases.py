"""Plan each phase of a request alone, then compare all ways to serve both."""

from __future__ import annotations

from collections.abc import Mapping

from partwise.errors import InputError
from partwise.hardware import REFERENCE_CLUSTER, Cluster
from partwise.ir import Graph
from partwise.planning.constraints import UNCONSTRAINED, Constraints
from partwise.planning.phases.compare import Comparison
from partwise.planning.phases.records import PhasePlan
from partwise.planning.plan import plan
from partwise.planning.records import Limits, Objective
from partwise.planning.reserve import NOTHING, Reserve
from partwise.profiling import Phase, Profile

__all__ = ["plan_phases"]

_EFFORT = 10  # as for a plan of one phase


def plan_phases(
    graph: Graph,
    profiles: Mapping[Phase, Profile],
    limits: Limits,
    *,
    prompt: int,
    generate: int,
    cluster: Cluster = REFERENCE_CLUSTER,
    constraints: Constraints = UNCONSTRAINED,
    reserve: Reserve = NOTHING,
    solver: str = "auto",
    effort: int = _EFFORT,
) -> PhasePlan:
    """The quickest way to serve one request.

    Args:
        graph: captured with a cache.
        profiles: its costs in each phase (`profiling.phase_sizes`), decode at the mean number of tokens.
        limits: what every stage keeps.
        prompt: tokens of each sequence that are read.
        generate: tokens of each sequence that are made.
        cluster: the devices.
        constraints: what runs where, what stays together.
        reserve: what every stage's memory holds beside; K/V of prompt and answer unless it says otherwise.
        solver: for the plan of each phase.
        effort: for the plan of each phase.

    Raises:
        InfeasibleError: no plan of some phase keeps the limits.
        InputError: no token to read or to make.
    """
    for name, count in (("--prompt", prompt), ("--generate", generate)):
        if count < 1:
            raise InputError(name, "must be at least 1", got=count)
    if reserve.cache is None:
        reserve = Reserve(cache=prompt + generate, sequences=reserve.sequences, overhead_bytes=reserve.overhead_bytes)
    best = {
        phase: plan(
            graph, profile, limits, (Objective.LATENCY,),
            cluster=cluster, constraints=constraints, reserve=reserve, solver=solver, effort=effort,
        )
        for phase, profile in profiles.items()
    }  # fmt: skip
    return Comparison(graph, profiles, best, (prompt, generate)).answer()
