"""What more hardware would give: the same question asked again on a larger cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from math import fsum

from partwise.errors import InfeasibleError
from partwise.hardware import Cluster, Link
from partwise.planning.explaining.records import WhatIf
from partwise.planning.plan import plan as solve
from partwise.planning.price import transfers
from partwise.planning.records import Blend, Limits, Objective, Plan, Share
from partwise.planning.terms import Terms
from partwise.profiling import Profile

__all__ = ["what_if"]

_MORE_MEMORY = 1.25
_FASTER = 2.0


def what_if(plan: Plan, profile: Profile, terms: Terms) -> Iterator[WhatIf]:
    """One more device, a quarter more memory, links twice as fast; what a plan has none of is left out."""
    for change, limits, cluster in _questions(plan):
        try:
            found = solve(plan.graph, profile, limits, _asked(plan), replace(terms, cluster=cluster))
        except InfeasibleError:
            yield WhatIf(change=change, value=None, stages=None, gain=None)
            continue
        value = _value(plan, found)
        gain = 1 - value / plan.value if plan.value else None
        yield WhatIf(change=change, value=value, stages=len(found.stages), gain=gain)


def _questions(plan: Plan) -> Iterator[tuple[str, Limits, Cluster]]:
    limits, cluster = plan.limits, plan.cluster
    more = limits if limits.stages is None else replace(limits, stages=limits.stages + 1)
    if not cluster.is_open:
        busiest = _busiest(plan)
        yield f"one more {cluster.member(busiest).device.name}", more, _with_another(cluster, busiest)
    elif limits.stages is not None:
        yield f"one more {cluster.members[0].device.name}", more, cluster
    if limits.memory_bytes is not None or any(m.memory_bytes is not None for m in cluster.members) or cluster.pools:
        larger = replace(limits, memory_bytes=_larger(limits.memory_bytes))
        yield "25 % more memory", larger, _with_memory(cluster)
    yield "links twice as fast", limits, _with_links(cluster)


def _asked(plan: Plan) -> tuple[Objective, ...] | Blend:
    if plan.levels[0].weight is None:
        return tuple(level.objective for level in plan.levels)
    return Blend(shares=tuple(Share(objective=lv.objective, weight=lv.weight or 0.0) for lv in plan.levels))


def _value(plan: Plan, found: Plan) -> float:
    """What is made small, weighted sums by the first plan's scales."""
    if plan.levels[0].weight is None:
        return found.value
    pairs = zip(plan.levels, found.levels, strict=True)
    return fsum((old.weight or 0) * new.value / (old.scale or 1) for old, new in pairs)


def _busiest(plan: Plan) -> str:
    """The device with the largest load."""
    received, sent = transfers(plan)
    return max(plan.stages, key=lambda s: fsum([s.time_s, *received[s.index], *sent[s.index]])).device


def _with_another(cluster: Cluster, name: str) -> Cluster:
    """One more member like this one, with memory of its own."""
    like, names = cluster.member(name), {member.name for member in cluster.members}
    fresh = next(f"{like.device.name}+{n}" for n in count(1) if f"{like.device.name}+{n}" not in names)
    return replace(cluster, members=(*cluster.members, replace(like, name=fresh, pool="")))


def _larger(size: int | None) -> int | None:
    return None if size is None else int(size * _MORE_MEMORY)


def _with_memory(cluster: Cluster) -> Cluster:
    members = tuple(replace(member, memory_bytes=_larger(member.memory_bytes)) for member in cluster.members)
    return replace(cluster, members=members, pools={n: int(s * _MORE_MEMORY) for n, s in cluster.pools.items()})


def _with_links(cluster: Cluster) -> Cluster:
    def faster(link: Link) -> Link:
        return replace(link, bytes_per_s=link.bytes_per_s * _FASTER)

    return replace(
        cluster,
        within=faster(cluster.within),
        between=cluster.between and faster(cluster.between),
        wires=tuple(replace(wire, link=faster(wire.link)) for wire in cluster.wires),
    )
