"""Why a plan on several devices uses one alone: what the best division into two of some that are tried would take."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from partwise.planning.demand import Demand, Solution
from partwise.planning.orders import orders
from partwise.planning.problem import Problem
from partwise.planning.records import Objective
from partwise.planning.slicing import Line, narrowest
from partwise.units import format_bytes, format_seconds

__all__ = ["why_alone"]

_PLACES = 4
"""Divisions that are tried: the narrowest place in each quarter of the compute."""
_DEVICES = 3
"""Kinds of devices that they are tried on, the chosen one among them."""
_TIMES = (Objective.LATENCY, Objective.THROUGHPUT, Objective.BALANCE)


def why_alone(problem: Problem, demand: Demand, solution: Solution) -> tuple[str, ...]:
    """A note on an answer of one stage; none where it was asked for, or where there is no choice.

    Args:
        problem: the graph as arrays.
        demand: what was asked for.
        solution: the answer.
    """
    objective, cluster = demand.objectives[0], problem.cluster
    is_free = len(cluster.members) > 1 and not cluster.is_open and demand.limits.stages is None and not problem.homes
    home, *others = solution.devices
    if others or not is_free or objective not in _TIMES:
        return ()
    tried = sorted(_divisions(problem, demand, home))
    if not tried:
        return ()
    value, crossing, pair = tried[0]
    took = format_seconds(demand.evaluator.values(solution.assignment, solution.devices, [objective])[0])
    best = f"the best of {len(tried)} divisions into two that were tried takes {format_seconds(value)}"
    return (f"do not split: {home} alone takes {took}; {best} ({' → '.join(pair)}, which sends "
            f"{format_bytes(crossing)})",)  # fmt: skip


def _divisions(problem: Problem, demand: Demand, home: str) -> Iterator[tuple[float, int, tuple[str, ...]]]:
    """The value, the bytes sent and the devices of each division that fits."""
    _, order = next(iter(orders(problem, 1, demand.seed)))
    line = Line(problem, order)
    if line.length < 2:
        return
    devices = _kinds(problem, home)
    for place in sorted(set(narrowest(line, _PLACES + 1))):
        halves = (tuple(line.nodes(0, place)), tuple(line.nodes(place, line.length)))
        if not all(halves):
            continue
        for pair in permutations(devices, 2):
            stages, cuts = demand.evaluator.price(halves, pair)
            if not demand.evaluator.overfull(stages, demand.limits) and not demand.evaluator.overfilled(stages):
                value = demand.evaluator.measured(stages, cuts, [demand.objectives[0]])[0]
                yield value, sum(cut.bytes for cut in cuts), pair


def _kinds(problem: Problem, home: str) -> list[str]:
    """The chosen member, and one of each other kind; another like it where there is one."""
    members = problem.cluster.members
    chosen, seen, found = problem.cluster.member(home), set[object](), [home]
    for member in (*(m for m in members if m.device.name != chosen.device.name), *members):
        kind = (member.device.name, member.memory_bytes, member.host)
        if member.name != home and kind not in seen:
            seen.add(kind)
            found.append(member.name)
    return found[:_DEVICES]
