"""What every plan keeps: all violations as lines, found by pricing its division.

It trusts nothing that the plan states: not the solver's, not a file's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from math import fsum, isclose

from partwise.errors import PlanError
from partwise.ir import Contraction, contract
from partwise.planning.colocation import units
from partwise.planning.constraints import nodes_named, stated_groups
from partwise.planning.evaluator import Evaluator
from partwise.planning.records import Level, Plan, Stage
from partwise.planning.terms import Terms
from partwise.profiling import profile
from partwise.units import number_of

__all__ = ["broken_limits", "check_plan", "gap_of", "value_of", "violations"]

_ROUNDING = 1e-9  # relative; times are sums of floats


def check_plan(plan: Plan, subject: str = "plan") -> None:
    """Raise unless the plan keeps everything that it must.

    Raises:
        PlanError: the first violation, and how many more there are.
    """
    evaluator = Terms.of(plan).evaluator(contract(plan.graph), profile(plan.graph, plan.sizes))
    found = list(violations(plan, evaluator))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise PlanError(subject, f"is not a plan of its graph: {found[0]}{more}")


def violations(plan: Plan, evaluator: Evaluator) -> Iterator[str]:
    """One line for each violation: nodes once, stages in order, limits kept, figures as priced.

    Args:
        plan: what is checked.
        evaluator: of its graph at its sizes, on its cluster.
    """
    contraction = evaluator.contraction
    misplaced = [*_misplaced(plan, contraction), *_homeless(plan)]
    if misplaced:
        yield from misplaced
        return  # there is nothing to price
    yield from _parted(plan, contraction)
    yield from _astray(plan, contraction)
    nodes, devices = tuple(stage.nodes for stage in plan.stages), [stage.device for stage in plan.stages]
    stages, cuts = evaluator.price(nodes, devices)
    yield from (f"stage {c.source} sends to stage {c.target}, before it" for c in cuts if c.source >= c.target)
    for stated, priced in zip(plan.stages, stages, strict=True):
        yield from _differences(stated, priced)
    yield from broken_limits(stages, plan, contraction)
    if plan.cuts != cuts:
        yield "the cuts are not those of its stages"
    values = evaluator.measured(stages, cuts, [level.objective for level in plan.levels])
    for level, value in zip(plan.levels, values, strict=True):
        if not _equal(level.value, value):
            yield f"{level.objective} is {value}, not {level.value}"
    yield from _verdicts(plan)


def broken_limits(stages: Sequence[Stage], plan: Plan, contraction: Contraction) -> Iterator[str]:
    """One line for each limit of a plan that some stages break, priced as they are."""
    for stage in stages:
        yield from _beyond(stage, plan, contraction)
    yield from _overfull(stages, plan)


def gap_of(value: float, bound: float) -> float | None:
    """(value − bound) / bound; 0 where both are 0, None where only the bound is."""
    if value == bound:
        return 0.0
    return (value - bound) / bound if bound else None


def value_of(levels: Sequence[Level]) -> float:
    """What is made small: the first objective's value, or the weighted sum of all."""
    if levels[0].weight is None:
        return levels[0].value
    return fsum((level.weight or 0) * level.value / (level.scale or 1) for level in levels)


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
        yield f"the plan is of {number_of(len(plan.stages), 'stage')}, not {plan.limits.stages}"
    if not plan.stages or not plan.levels:
        yield "there is no stage or no objective"


def _parted(plan: Plan, contraction: Contraction) -> Iterator[str]:
    """Units whose nodes are not in one stage."""
    home = {node: stage.index for stage in plan.stages for node in stage.nodes}
    for unit in units(contraction):
        if len(unit) > 1 and len({home[node] for node in unit}) > 1:
            yield f"nodes {', '.join(map(str, unit))} share a state, but not a stage"
    for name, nodes in stated_groups(contraction, plan.constraints):
        if len({home[node] for node in nodes}) > 1:
            yield f"[{name}] is not in one stage"


def _astray(plan: Plan, contraction: Contraction) -> Iterator[str]:
    """Pinned nodes on another device than theirs."""
    device = {node: stage.device for stage in plan.stages for node in stage.nodes}
    for pin in plan.constraints.pins:
        for node in nodes_named(contraction, pin.name):
            if device[node] != pin.device:
                yield f"node {node} is on `{device[node]}`, `{pin.name}` is pinned to `{pin.device}`"
                break


def _homeless(plan: Plan) -> Iterator[str]:
    """Stages without a device of their own."""
    known, used = {member.name for member in plan.cluster.members}, set[str]()
    for stage in plan.stages:
        if stage.device not in known:
            yield f"stage {stage.index} is on `{stage.device}`, which is not in the cluster"
        elif stage.device in used and not plan.cluster.is_open:
            yield f"two stages are on `{stage.device}`"
        used.add(stage.device)


def _overfull(stages: Sequence[Stage], plan: Plan) -> Iterator[str]:
    """Memory that several devices share."""
    need = plan.cluster.pooled((stage.device, stage.peak_bytes) for stage in stages)
    for pool, size in plan.cluster.pools.items():
        if need[pool] > size:
            yield f"the stages in `{pool}` need {need[pool]} bytes, it has {size}"


def _beyond(stage: Stage, plan: Plan, contraction: Contraction) -> Iterator[str]:
    limits = plan.limits
    for title, need, limit in (
        ("bytes", stage.peak_bytes, limits.memory_bytes),
        (f"bytes on {stage.device}", stage.peak_bytes, plan.cluster.member(stage.device).memory_bytes),
        ("parameters", stage.parameters, limits.max_parameters),
        ("layers", _layers(stage, contraction) if limits.max_layers is not None else 0, limits.max_layers),
    ):
        if limit is not None and need > limit:
            yield f"stage {stage.index} needs {need} {title}, has {limit}"


def _layers(stage: Stage, contraction: Contraction) -> int:
    trainable = {weight.tensor for weight in contraction.graph.weights if weight.trainable}
    return sum(not trainable.isdisjoint(contraction.reads(node).weights) for node in stage.nodes)


def _differences(stated: Stage, priced: Stage) -> Iterator[str]:
    for field in fields(Stage):
        here, there = getattr(stated, field.name), getattr(priced, field.name)
        if field.name == "time_s":
            if not _equal(here, there):
                yield f"stage {priced.index} takes {there} s, not {here}"
        elif here != there:
            yield f"stage {priced.index} has other {field.name} than it states"


def _verdicts(plan: Plan) -> Iterator[str]:
    """The figures that follow from others; that the bound is one cannot be seen from the plan."""
    weighted = [level for level in plan.levels if level.weight is not None]
    if weighted and not all((level.weight or 0) > 0 and (level.scale or 0) > 0 for level in plan.levels):
        yield "some weight or scale is missing or not above 0"
    elif plan.value != value_of(plan.levels):
        yield f"the value {plan.value} is not that of its objectives"
    if not 0 <= plan.bound <= plan.value:
        yield f"the bound {plan.bound} is above the value {plan.value}"
    if plan.gap != gap_of(plan.value, plan.bound):
        yield f"the gap {plan.gap} does not follow from value and bound"


def _equal(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=_ROUNDING)
