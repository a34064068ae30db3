"""Memory that several devices share: branch and bound over how much of it each one gets.

Without the pool's own limit a solver answers a relaxed question. Where its stages need p1 + p2 > P, every plan that
fits has either at most x bytes in the first device or at most P − x − 1 in the second, whatever x: two questions of
the same kind. With p1 > x and p2 > P − x − 1 neither has the old answer, and the best one left is a bound for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from partwise.hardware import Cluster
from partwise.planning.demand import Demand, Solution, Solver
from partwise.planning.problem import Problem
from partwise.planning.records import Bound

__all__ = ["solve_in_pools"]

_QUESTIONS = 20  # for each step of effort


@dataclass(frozen=True, slots=True, order=True)
class _Question:
    """A cluster whose members have limits of their own, and the relaxed answer there."""

    value: float
    number: int
    cluster: Cluster
    solution: Solution


def solve_in_pools(problem: Problem, demand: Demand, solve: Solver) -> Solution | None:
    """The best answer that keeps the pools of a cluster; None: there is none.

    Args:
        problem: on a cluster with pools.
        demand: what is asked for.
        solve: answers without regard to pools.
    """
    waiting: list[_Question] = []
    count = 0

    def ask(cluster: Cluster) -> None:
        nonlocal count
        count += 1
        evaluator = demand.evaluator.on(cluster)
        found = solve(replace(problem, cluster=cluster, rates=evaluator.rates), replace(demand, evaluator=evaluator))
        if found is not None:
            heappush(waiting, _Question(_least(found), count, cluster, found))

    ask(problem.cluster)
    while waiting and count < _QUESTIONS * demand.effort:
        best = heappop(waiting)
        narrower = list(_narrower(best, demand))
        if not narrower:
            return replace(best.solution, bound=_bound(best))
        for cluster in narrower:
            ask(cluster)
    return None


def _least(solution: Solution) -> float:
    """What no plan for the same question is below: the bound if there is one."""
    return solution.values[0] if solution.bound is None else min(solution.bound.value, solution.values[0])


def _bound(best: _Question) -> Bound | None:
    """All other questions have answers that are no better."""
    bound = best.solution.bound
    return None if bound is None else replace(bound, value=best.value)


def _narrower(question: _Question, demand: Demand) -> Iterator[Cluster]:
    """Clusters in which a member has less of the pool that overflows; every plan that fits is one of theirs."""
    cluster, solution = question.cluster, question.solution
    stages, _ = demand.evaluator.price(solution.assignment, solution.devices)
    for pool, size in cluster.pools.items():
        peaks = {s.device: s.peak_bytes for s in stages if cluster.member(s.device).pool == pool}
        over = sum(peaks.values()) - size
        if over > 0:
            share = (over - 1) // len(peaks)  # each less than its peak; a byte more each overfills
            limits = {name: peak - 1 - share for name, peak in peaks.items()}
            last = next(reversed(limits))
            limits[last] -= over - 1 - share * len(peaks)
            yield from (_limited(cluster, name, limit) for name, limit in limits.items())
            return


def _limited(cluster: Cluster, name: str, limit: int) -> Cluster:
    members = (
        replace(member, memory_bytes=int(max(0, min(limit, member.room_bytes)))) if member.name == name else member
        for member in cluster.members
    )
    return replace(cluster, members=tuple(members))
