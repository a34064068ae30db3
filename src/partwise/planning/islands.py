"""Links that differ between pairs: members within fast reach of each other are also asked about alone.

The search prices every device by its fastest link, so its answer may lean on slow ones. *Islands* are members that
links faster than some limit connect. The same question is asked of each island, and of all members as if every link
were the slowest; the best answer, priced with the links that it really uses, is the plan.

A plan whose stages all lie on one island is not below that island's bound. Of any other plan of a connected graph, some
value takes a link between islands: a stage sends it and one receives it, whatever else they do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from math import fsum, inf

import numpy as np

from partwise.hardware import Cluster, Link, Member
from partwise.planning.assign import assign
from partwise.planning.bounds import connected_reads
from partwise.planning.problem import Problem
from partwise.planning.records import Bound, Objective
from partwise.planning.solvers import Demand, Solution, is_less

__all__ = ["solve_by_islands"]

_MOST = 8  # kinds of islands that are asked about, the largest first
_TIMED = (Objective.THROUGHPUT, Objective.LATENCY, Objective.COST)

Solve = Callable[[Problem, Demand], Solution | None]
Island = tuple[Member, ...]


def solve_by_islands(problem: Problem, demand: Demand, solve: Solve) -> Solution | None:
    """The best answer on any members, or on those of one island.

    Args:
        problem: on a cluster.
        demand: what is asked for.
        solve: answers with every device at its fastest link.
    """
    found = solve(problem, demand)
    is_plain = demand.objectives[0] in _TIMED and not demand.caps and not demand.blend
    levels = _levels(problem) if is_plain else []
    if found is None or not levels:
        return found
    known: dict[object, Solution | None] = {}
    best, bound = found, found.bound
    for islands in levels:
        for island in islands:
            if (key := _kind(problem.cluster, island)) not in known and len(known) < _MOST:
                known[key] = _on_island(problem, demand, island, solve)
        least = _least(problem, demand, islands, (found, known))
        if bound is not None and least > bound.value:
            bound = replace(bound, value=least, origin=f"{bound.origin}; the least of islands and of what crosses")
    slow = _at_slowest(problem, demand, solve)
    for other in (*known.values(), slow):
        if other is not None and is_less(other.values, best.values):
            best = other
    return replace(best, bound=_not_above(bound, best))


def _not_above(bound: Bound | None, best: Solution) -> Bound | None:
    """Sums of floats in another order may differ in the last digits."""
    return None if bound is None else replace(bound, value=min(bound.value, best.values[0]))


def _levels(problem: Problem) -> list[list[Island]]:
    """For each limit of what counts as fast, the islands; none where all pairs are connected alike."""
    cluster, size = problem.cluster, float(problem.tensor_bytes.mean())
    if cluster.is_open or cluster.has_one_link:
        return []
    pairs = list(combinations(cluster.members, 2))
    times = {(a.name, b.name): _seconds(cluster.link(a.name, b.name), size) for a, b in pairs}
    found: list[list[Island]] = []
    for most in sorted(set(times.values()))[:-1]:
        islands = _components(cluster.members, [pair for pair, time in times.items() if time <= most])
        if len(islands) > 1 and islands not in found:
            found.append(islands)
    return found[::-1]


def _seconds(link: Link, size: float) -> float:
    return link.latency_s + size / link.bytes_per_s


def _components(members: Sequence[Member], pairs: Collection[tuple[str, str]]) -> list[Island]:
    """What the pairs connect, in the members' order; the largest first."""
    home = {member.name: member.name for member in members}
    for one, other in pairs:
        old, new = home[other], home[one]
        home.update({name: new for name, its in home.items() if its == old})
    groups = [tuple(m for m in members if home[m.name] == root) for root in dict.fromkeys(home.values())]
    return sorted(groups, key=lambda group: -len(group))


def _kind(cluster: Cluster, island: Island) -> object:
    """What tells islands apart: equal devices behind equal links have equal answers."""
    links = [cluster.link(a.name, b.name) for a, b in combinations(island, 2)]
    return (
        tuple((m.device.name, m.memory_bytes, m.pool) for m in island),
        tuple((link.bytes_per_s, link.latency_s) for link in links),
        tuple(m.name for m in island) if any(m.pool for m in island) else (),
    )


def _on_island(problem: Problem, demand: Demand, island: Island, solve: Solve) -> Solution | None:
    """The answer on these members alone; None: there is none, or too few members for what is asked."""
    names = {member.name for member in island}
    if not set(problem.homes.values()) <= names or len(island) < (demand.limits.stages or 1):
        return None
    cluster = problem.cluster
    wires = tuple(wire for wire in cluster.wires if set(wire.ends) <= names)
    return _asked(problem, demand, replace(cluster, members=island, wires=wires), solve)


def _asked(problem: Problem, demand: Demand, cluster: Cluster, solve: Solve) -> Solution | None:
    evaluator, first = demand.evaluator.on(cluster), cluster.members[0].name
    seconds = np.array(evaluator.rates.of(first).seconds)
    again = replace(
        problem,
        cluster=cluster,
        rates=evaluator.rates,
        node_seconds=seconds,
        seconds=problem.unit_sums(seconds),
        link=cluster.fastest(first),
    )
    return solve(again, replace(demand, evaluator=evaluator))


def _at_slowest(problem: Problem, demand: Demand, solve: Solve) -> Solution | None:
    """The answer that shuns every transfer as if it took the slowest link, on the members that suit it best."""
    cluster = problem.cluster
    links = [cluster.link(a.name, b.name) for a, b in combinations(cluster.members, 2)]
    slowest = Link(
        name="the slowest",
        bytes_per_s=min(link.bytes_per_s for link in links),
        latency_s=max(link.latency_s for link in links),
    )
    found = _asked(problem, demand, replace(cluster, within=slowest, between=slowest, wires=()), solve)
    if found is None:
        return None
    equal = _equal_members(problem)
    names = assign(demand.evaluator, found.assignment, [equal[name] for name in found.devices], demand.objectives)
    return replace(found, devices=names, values=demand.evaluator.values(found.assignment, names, demand.objectives))


def _equal_members(problem: Problem) -> dict[str, list[Member]]:
    """For each member those that may stand in for it; what is pinned has none."""
    pinned, groups = set(problem.homes.values()), dict[object, list[Member]]()
    for member in problem.cluster.members:
        alone = member.name if member.name in pinned else ""
        groups.setdefault((member.device.name, member.memory_bytes, member.pool, alone), []).append(member)
    return {member.name: group for group in groups.values() for member in group}


def _least(
    problem: Problem,
    demand: Demand,
    islands: Sequence[Island],
    answers: tuple[Solution, dict[object, Solution | None]],
) -> float:
    """What no plan is below: on one of these islands, or across several."""
    found, known = answers
    whole = found.bound.value if found.bound else 0.0
    bounds = [max(whole, _crossing(problem, demand.objectives[0], islands))]
    for island in islands:
        key = _kind(problem.cluster, island)
        answer = known.get(key)
        if answer is not None:
            bounds.append(whole if answer.bound is None else max(whole, answer.bound.value))
        elif not _cannot_hold(problem, demand, island):
            bounds.append(whole)
    return min(bounds)


def _cannot_hold(problem: Problem, demand: Demand, island: Island) -> bool:
    """Whether an island has too few members, not the pinned ones, or less memory than the weights take."""
    names = {member.name for member in island}
    room = fsum(min(demand.limits.room_bytes, member.room_bytes) for member in island)
    is_away = not set(problem.homes.values()) <= names
    return is_away or len(island) < (demand.limits.stages or 1) or float(problem.weight_bytes.sum()) > room


def _crossing(problem: Problem, objective: Objective, islands: Sequence[Island]) -> float:
    """What a plan on several islands pays at least [s]: the least value that may cross, over their best link."""
    values = connected_reads(problem)
    if objective is Objective.COST or not len(values):
        return 0.0
    size, least = float(problem.tensor_bytes[values].min()), inf
    for here, there in combinations(islands, 2):
        least = min(least, *(_seconds(problem.cluster.link(a.name, b.name), size) for a in here for b in there))
    return least + (_least_compute(problem) if objective is Objective.LATENCY else 0.0)


def _least_compute(problem: Problem) -> float:
    """All placed nodes, each on the device where it takes least [s]."""
    rates: Iterator[tuple[float, ...]] = (problem.rates.of(m.name).seconds for m in problem.cluster.members)
    return float(np.min(list(rates), axis=0)[list(problem.contraction.placed)].sum())
