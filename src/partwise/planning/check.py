"""What every plan keeps: all violations as lines, found by pricing the plan anew.

It trusts nothing that the plan states: not the solver's, not a file's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from math import isclose

from partwise.errors import PlanError
from partwise.hardware import Device, Link
from partwise.ir import Contraction, contract
from partwise.planning.colocation import units
from partwise.planning.price import measure, price
from partwise.planning.records import Limits, Objective, Plan, Stage
from partwise.profiling import Profile, profile

__all__ = ["check_plan", "gap_of", "violations"]

_ROUNDING = 1e-9  # relative; times are sums of floats
_UNTIMED = frozenset({Objective.STAGES, Objective.TRAFFIC})


def check_plan(plan: Plan, device: Device, link: Link, subject: str = "plan") -> None:
    """Raise unless the plan keeps everything that it must.

    Raises:
        PlanError: the first violation, and how many more there are.
    """
    contraction = contract(plan.graph)
    found = list(violations(plan, contraction, profile(plan.graph, plan.sizes), device, link))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise PlanError(subject, f"is not a plan of its graph: {found[0]}{more}")


def violations(plan: Plan, contraction: Contraction, profile: Profile, device: Device, link: Link) -> Iterator[str]:
    """One line for each violation: nodes once, stages in order, limits kept, figures as priced.

    Args:
        plan: what is checked.
        contraction: its graph seen through the placed nodes.
        profile: costs of the graph at the plan's sizes.
        device: the one that the plan names; with another name no time is checked.
        link: the same.
    """
    misplaced = list(_misplaced(plan, contraction))
    if misplaced:
        yield from misplaced
        return  # there is nothing to price
    yield from _parted(plan, contraction)
    stages, cuts = price(contraction, profile, [stage.nodes for stage in plan.stages], device)
    timed = (device.name, link.name) == (plan.device, plan.link)
    yield from (f"stage {c.source} sends to stage {c.target}, before it" for c in cuts if c.source >= c.target)
    for stated, priced in zip(plan.stages, stages, strict=True):
        yield from _beyond(priced, plan.limits, contraction)
        yield from _differences(stated, priced, timed)
    if plan.cuts != cuts:
        yield "the cuts are not those of its stages"
    for level in plan.levels:
        value = measure(level.objective, stages, cuts, plan.graph, plan.sizes, link)
        if (timed or level.objective in _UNTIMED) and not _equal(level.value, value):
            yield f"{level.objective} is {value}, not {level.value}"
    yield from _verdicts(plan)


def gap_of(value: float, bound: float) -> float | None:
    """(value − bound) / bound; 0 where both are 0, None where only the bound is."""
    if value == bound:
        return 0.0
    return (value - bound) / bound if bound else None


def _misplaced(plan: Plan, contraction: Contraction) -> Iterator[str]:
    seen: set[int] = set()
    for position, stage in enumerate(plan.stages):
        if stage.index != position:
            yield f"stage {position} calls itself {stage.index}"
        if not stage.nodes and contraction.placed:
            yield f"stage {position} has no node"
        if list(stage.nodes) != sorted(set(stage.nodes)):
            yield f"the nodes of stage {position} are not ascending"
        yield from (f"node {node} is in two stages" for node in stage.nodes if node in seen)
        seen.update(stage.nodes)
    yield from (f"node {node} is in no stage" for node in contraction.placed if node not in seen)
    yield from (f"node {node} is none that is placed" for node in sorted(seen.difference(contraction.placed)))
    if plan.limits.stages not in (None, len(plan.stages)):
        yield f"there are {len(plan.stages)} stages, not {plan.limits.stages}"
    if not plan.stages or not plan.levels:
        yield "there is no stage or no objective"


def _parted(plan: Plan, contraction: Contraction) -> Iterator[str]:
    """Units whose nodes are not in one stage."""
    home = {node: stage.index for stage in plan.stages for node in stage.nodes}
    for unit in units(contraction, {node: contraction.reads(node) for node in contraction.placed}):
        if len({home[node] for node in unit}) > 1:
            yield f"nodes {', '.join(map(str, unit))} share a state, but not a stage"


def _beyond(stage: Stage, limits: Limits, contraction: Contraction) -> Iterator[str]:
    for title, need, limit in (
        ("bytes", stage.peak_bytes, limits.memory_bytes),
        ("parameters", stage.parameters, limits.max_parameters),
        ("layers", _layers(stage, contraction) if limits.max_layers is not None else 0, limits.max_layers),
    ):
        if limit is not None and need > limit:
            yield f"stage {stage.index} needs {need} {title}, has {limit}"


def _layers(stage: Stage, contraction: Contraction) -> int:
    trainable = {weight.tensor for weight in contraction.graph.weights if weight.trainable}
    return sum(not trainable.isdisjoint(contraction.reads(node).weights) for node in stage.nodes)


def _differences(stated: Stage, priced: Stage, timed: bool) -> Iterator[str]:
    for field in fields(Stage):
        here, there = getattr(stated, field.name), getattr(priced, field.name)
        if field.name == "time_s":
            if timed and not _equal(here, there):
                yield f"stage {priced.index} takes {there} s, not {here}"
        elif here != there:
            yield f"stage {priced.index} has other {field.name} than it states"


def _verdicts(plan: Plan) -> Iterator[str]:
    """The figures that follow from others; that the bound is one cannot be seen from the plan."""
    if plan.value != plan.levels[0].value:
        yield f"the value {plan.value} is not that of the first objective"
    if not 0 <= plan.bound <= plan.value:
        yield f"the bound {plan.bound} is above the value {plan.value}"
    if plan.gap != gap_of(plan.value, plan.bound):
        yield f"the gap {plan.gap} does not follow from value and bound"


def _equal(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=_ROUNDING)
