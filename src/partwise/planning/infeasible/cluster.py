"""Why no plan fits the devices of a cluster: how much more memory would do, and the unit that needs most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import fsum, inf

import numpy as np

from partwise.errors import InfeasibleError
from partwise.hardware import Cluster
from partwise.planning.bounds import unit_working_bytes
from partwise.planning.problem import Problem
from partwise.planning.records import Limits
from partwise.units import format_bytes

__all__ = ["explain_cluster"]

_FACTORS = (1.12, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)  # each one is a question to the solver

Fits = Callable[[Cluster, Limits], bool]
"""Whether some plan on a cluster keeps limits."""


def explain_cluster(problem: Problem, limits: Limits, fits: Fits) -> InfeasibleError:
    """The error for a cluster that no plan fits.

    Args:
        problem: the graph as arrays.
        limits: of every stage, beside the devices' own.
        fits: tries another cluster.
    """
    cluster = problem.cluster
    if limits.stages is not None and limits.stages > len(cluster.members):
        count = len(cluster.members)
        return InfeasibleError(
            f"cluster `{cluster.name}`", "has fewer devices than stages", expected=f"at most {count}", got=limits.stages
        )
    node, need = _largest(problem)
    if limits.memory_bytes is not None and fits(cluster, replace(limits, memory_bytes=None)):
        return _too_tight(limits, limits.memory_bytes, fits, cluster, f"node {node} alone needs {format_bytes(need)}")
    factor = _factor(lambda times: fits(_scaled(cluster, times), _raised(limits, times)))
    room, total = _memory(cluster)
    where = f"node {node} alone needs {format_bytes(need)} of memory"
    where += f"; the largest device has {format_bytes(room)}" if room < inf else ""
    if factor is None or total == inf:
        return InfeasibleError(f"cluster `{cluster.name}`", f"no plan keeps the limits, with any memory; {where}")
    return InfeasibleError(
        f"cluster `{cluster.name}`",
        f"no plan fits its devices' memory; {where}",
        expected=f"about {format_bytes(total * factor)} in all, shared as it is",
        got=format_bytes(total),
        hint=f"{factor:.2f} × the memory of every device would do, or more devices.",
    )


def _memory(cluster: Cluster) -> tuple[float, float]:
    """What the largest device has, and all of them together, what some share counted once; infinite: no limit."""
    rooms = {m.name: min(m.room_bytes, cluster.pools.get(m.pool, inf)) for m in cluster.members}
    shared = [
        min(size, fsum(rooms[m.name] for m in cluster.members if m.pool == pool))
        for pool, size in cluster.pools.items()
    ]
    return max(rooms.values()), fsum([*(rooms[m.name] for m in cluster.members if not m.pool), *shared])


def _too_tight(limits: Limits, given: int, fits: Fits, cluster: Cluster, where: str) -> InfeasibleError:
    """The error where the devices have room enough and the limit on a stage's memory has not."""
    factor = _factor(lambda times: fits(cluster, _raised(limits, times)))
    if factor is None:
        return InfeasibleError("memory", f"no plan keeps the limit; {where}", got=format_bytes(given))
    enough = int(given * factor)
    return InfeasibleError(
        "memory",
        f"no plan keeps the limit, though the devices of cluster `{cluster.name}` have room for one; {where}",
        expected=f"about {format_bytes(enough)}",
        got=format_bytes(given),
        hint=f"--memory {enough}.",
    )


def _factor(fits: Callable[[float], bool]) -> float | None:
    """A factor on memory with which a plan is found, at most 6 % above the smallest below 1.5, coarser beyond; None:
    there is none."""
    low = 1.0
    for high in _FACTORS:
        if fits(high):
            middle = (low + high) / 2
            return middle if fits(middle) else high
        low = high
    return None


def _raised(limits: Limits, factor: float) -> Limits:
    return limits if limits.memory_bytes is None else replace(limits, memory_bytes=int(limits.memory_bytes * factor))


def _scaled(cluster: Cluster, factor: float) -> Cluster:
    def larger(size: int | None) -> int | None:
        return None if size is None else int(size * factor)

    members = tuple(replace(member, memory_bytes=larger(member.memory_bytes)) for member in cluster.members)
    pools = {name: int(size * factor) for name, size in cluster.pools.items()}
    return replace(cluster, members=members, pools=pools)


def _largest(problem: Problem) -> tuple[str, int]:
    """The node that needs the most memory alone, and how much."""
    need = unit_working_bytes(problem).astype(np.int64)
    np.add.at(need, problem.holds.unit, problem.weight_bytes[problem.holds.item])
    need += problem.overhead_bytes
    unit = int(need.argmax())
    node = problem.contraction.graph.nodes[problem.units[unit][0]]
    return f"`{node.name}`" + (f" ({node.module})" if node.module else ""), int(need[unit])
