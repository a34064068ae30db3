"""Explain a plan: the binding limit of each stage, the price of moving each cut, the worth of more hardware.

Everything is found from the plan's record alone, by pricing its neighbours and asking again with more hardware.
"""

from __future__ import annotations

from dataclasses import replace
from math import fsum, inf

from partwise.ir import contract
from partwise.planning.explaining.moves import boundary_reasons
from partwise.planning.explaining.records import Explanation, StageReason
from partwise.planning.explaining.what_if import what_if
from partwise.planning.price import transfers
from partwise.planning.records import Plan, Stage
from partwise.planning.terms import USUAL, Terms
from partwise.profiling import Profile

__all__ = ["explain_plan"]


def explain_plan(plan: Plan, profile: Profile, *, effort: int = USUAL.effort, seed: int = 0) -> Explanation:
    """Why a plan is as it is.

    Args:
        plan: what is explained.
        profile: costs of its graph at its sizes.
        effort: of each question with more hardware.
        seed: of the random orders there.
    """
    terms = replace(Terms.of(plan), effort=effort, seed=seed)
    evaluator = terms.evaluator(contract(plan.graph), profile)
    return Explanation(
        stages=_stage_reasons(plan),
        boundaries=tuple(boundary_reasons(plan, evaluator)),
        what_if=tuple(what_if(plan, profile, terms)),
    )


def _stage_reasons(plan: Plan) -> tuple[StageReason, ...]:
    received, sent = transfers(plan)
    loads = [fsum([s.time_s, *received[s.index], *sent[s.index]]) for s in plan.stages]
    most = max(loads)
    return tuple(
        _reason(plan, stage, (fsum(received[stage.index]), fsum(sent[stage.index])), load / most if most else 1.0)
        for stage, load in zip(plan.stages, loads, strict=True)
    )


def _reason(plan: Plan, stage: Stage, moved: tuple[float, float], load_share: float) -> StageReason:
    memory, limit = _memory_share(plan, stage), plan.limits.max_parameters
    parameters = None if limit is None else stage.parameters / limit
    shares = {"load": load_share, "memory": memory or 0.0, "parameters": parameters or 0.0}
    return StageReason(
        index=stage.index,
        device=stage.device,
        compute_s=stage.time_s,
        receive_s=moved[0],
        send_s=moved[1],
        load_share=load_share,
        memory_share=memory,
        parameters_share=parameters,
        binding=max(shares, key=lambda name: shares[name]),
    )


def _memory_share(plan: Plan, stage: Stage) -> float | None:
    """Of its own memory or of that which it shares, whichever is fuller."""
    member = plan.cluster.member(stage.device)
    room = min(plan.limits.room_bytes, member.room_bytes)
    shares = [] if room == inf else [stage.peak_bytes / room]
    if member.pool:
        need = plan.cluster.pooled((each.device, each.peak_bytes) for each in plan.stages)
        shares.append(need[member.pool] / plan.cluster.pools[member.pool])
    return max(shares, default=None)
