"""Memory that several devices share: branch and bound over how much of it each one gets.

Without the pool's own limit a solver answers a relaxed question. Where its stages need p1 + p2 > P, every plan that
fits has either at most x bytes in the first device or at most P − x − 1 in the second, whatever x: two questions of
the same kind. With p1 > x and p2 > P − x − 1 neither has the old answer, and the best one left is a bound for the rest.
Where the questions run out, the memory is dealt out to the devices that need most of it in the best answer so far, to
all of them or to fewer, each a part for itself: what is answered then fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from partwise.hardware import Cluster
from partwise.planning.demand import Demand, Solution, Solver
from partwise.planning.problem import Problem
from partwise.planning.records import Bound, Stage

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
    """The best answer that keeps the pools of a cluster; None: there is none, or none was found.

    Args:
        problem: on a cluster with pools.
        demand: what is asked for.
        solve: answers without regard to pools.
    """
    waiting: list[_Question] = []
    count = 0

    def answer(cluster: Cluster) -> Solution | None:
        evaluator = demand.evaluator.on(cluster)
        return solve(replace(problem, cluster=cluster, rates=evaluator.rates), replace(demand, evaluator=evaluator))

    def ask(cluster: Cluster) -> None:
        nonlocal count
        count += 1
        if (found := answer(cluster)) is not None:
            heappush(waiting, _Question(_least(found), count, cluster, found))

    ask(problem.cluster)
    while waiting and count < _QUESTIONS * demand.effort:
        best = heappop(waiting)
        narrower = list(_narrower(best, demand))
        if not narrower:
            return replace(best.solution, bound=_bound(best))
        for cluster in narrower:
            ask(cluster)
    dealt = _dealt_out(waiting[0], demand) if waiting else iter(())
    found = next((found for found in map(answer, dealt) if found is not None), None)
    if found is None:
        return None
    note = f"shared memory is dealt out after {count} questions, not all of which were followed up (--effort)"
    return replace(found, bound=_bound(waiting[0]), notes=(*found.notes, note))


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
    for pool, need in demand.evaluator.overfilled(stages).items():
        peaks, over = _peaks(stages, cluster, pool), need - cluster.pools[pool]
        share = (over - 1) // len(peaks)  # each less than its peak; a byte more each overfills
        limits = {name: peak - 1 - share for name, peak in peaks.items()}
        last = next(reversed(limits))
        limits[last] -= over - 1 - share * len(peaks)
        yield from (_limited(cluster, {name: limit}) for name, limit in limits.items())
        return


def _dealt_out(question: _Question, demand: Demand) -> Iterator[Cluster]:
    """Clusters in which the members that need most of each pool have all of it, each its part, in proportion; first
    all that the answer uses, then one less, down to one."""
    cluster, solution = question.cluster, question.solution
    stages, _ = demand.evaluator.price(solution.assignment, solution.devices)
    needs = {pool: _peaks(stages, cluster, pool) for pool in cluster.pools}
    for count in range(max(map(len, needs.values())), 0, -1):
        limits = {member.name: 0 for member in cluster.members if member.pool}
        for pool, need in needs.items():
            chosen = sorted(need, key=lambda name: -need[name])[:count]
            limits |= {n: cluster.pools[pool] * need[n] // sum(need[each] for each in chosen) for n in chosen}
        yield _limited(cluster, limits)


def _peaks(stages: Sequence[Stage], cluster: Cluster, pool: str) -> dict[str, int]:
    """What each member that is used needs of a pool [bytes]."""
    return {s.device: s.peak_bytes for s in stages if cluster.member(s.device).pool == pool}


def _limited(cluster: Cluster, limits: Mapping[str, int]) -> Cluster:
    """The cluster some of whose members have no more memory than this."""
    members = (
        replace(m, memory_bytes=int(max(0, min(limits[m.name], m.room_bytes)))) if m.name in limits else m
        for m in cluster.members
    )
    return replace(cluster, members=tuple(members))
