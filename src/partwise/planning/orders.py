"""Topological orders of the units: each is one way to lay a graph out in a line before slicing it.

All are Kahn's algorithm with another choice among the units that are ready. The capture order comes first: it
is optimal for most captured models (docs/planning.md); the others help where branches are wide.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from partwise.planning.arrays import Ints
from partwise.planning.problem import Problem

__all__ = ["Flow", "flow_of", "orders"]

Edges = tuple[tuple[int, ...], ...]


class Flow:
    """Who waits for whom.

    Attributes:
        before: for each unit the units whose values it receives.
        after: for each unit the units that receive its values.
    """

    def __init__(self, count: int, edges: Sequence[tuple[int, int]]) -> None:
        before: list[list[int]] = [[] for _ in range(count)]
        after: list[list[int]] = [[] for _ in range(count)]
        for source, target in edges:
            after[source].append(target)
            before[target].append(source)
        self.before: Edges = tuple(tuple(found) for found in before)
        self.after: Edges = tuple(tuple(found) for found in after)

    def reverse(self) -> Flow:
        """The same units with every edge turned round."""
        return Flow(len(self.before), [(target, source) for source, ts in enumerate(self.after) for target in ts])


def flow_of(problem: Problem) -> Flow:
    """Who waits for whom, each pair once."""
    maker = problem.maker[problem.reads.item]
    crossing = (maker >= 0) & (maker != problem.reads.unit)
    edges = np.unique(np.stack([maker[crossing], problem.reads.unit[crossing]], axis=1), axis=0)
    return Flow(len(problem.units), [(int(source), int(target)) for source, target in edges])


def orders(problem: Problem, effort: int, seed: int) -> Iterator[tuple[str, Ints]]:
    """Named orders, the capture order first, each different from those before it.

    Args:
        effort: how many to try; fewer come where they repeat each other.
        seed: of the random ones.
    """
    seen: set[bytes] = set()
    for name, make in _named(problem, effort, seed):
        order = np.array(make(), np.int64)
        if order.tobytes() not in seen:
            seen.add(order.tobytes())
            yield name, order


def _named(problem: Problem, effort: int, seed: int) -> Iterator[tuple[str, Callable[[], list[int]]]]:
    forward = flow_of(problem)
    backward, random = forward.reverse(), np.random.default_rng(seed)
    made: list[tuple[str, Callable[[], list[int]]]] = [
        ("capture", lambda: by_rank(forward, range(len(problem.units)))),
        ("least-memory", lambda: least_memory(problem, forward)),
        ("depth-first", lambda: depth_first(forward)),
        ("depth-first from the end", lambda: depth_first(backward)[::-1]),
        ("breadth-first", lambda: by_rank(forward, depths(forward))),
        ("as late as possible", lambda: by_rank(backward, depths(backward))[::-1]),
        ("branches reversed", lambda: by_rank(forward, range(0, -len(problem.units), -1))),
        ("depth-first, branches reversed", lambda: depth_first(forward, -1)),
    ]
    yield from made[:effort]
    for number in range(effort - len(made)):
        ranks = random.random(len(problem.units)).tolist()
        if number % 2:
            yield f"random {number}", lambda ranks=ranks: by_rank(backward, ranks)[::-1]
        else:
            yield f"random {number}", lambda ranks=ranks: by_rank(forward, ranks)


def by_rank(flow: Flow, ranks: Sequence[float]) -> list[int]:
    """Of the ready units always the one of lowest rank; ties by number."""
    waiting = [len(found) for found in flow.before]
    ready = [(ranks[unit], unit) for unit, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        unit = heapq.heappop(ready)[1]
        order.append(unit)
        for other in _release(flow, unit, waiting):
            heapq.heappush(ready, (ranks[other], other))
    return order


def depth_first(flow: Flow, direction: int = 1) -> list[int]:
    """Of the ready units always the one that became ready last, so that a branch is finished before the next."""
    waiting = [len(found) for found in flow.before]
    ready = [unit for unit, count in enumerate(waiting) if not count][::-direction]
    order: list[int] = []
    while ready:
        unit = ready.pop()
        order.append(unit)
        ready.extend(_release(flow, unit, waiting)[::-direction])
    return order


def depths(flow: Flow) -> list[int]:
    """Length of the longest path to each unit."""
    found = [0] * len(flow.before)
    for unit in by_rank(flow, range(len(found))):
        found[unit] = max((found[other] + 1 for other in flow.before[unit]), default=0)
    return found


def least_memory(problem: Problem, flow: Flow) -> list[int]:
    """Of the ready units always the one that adds the fewest bytes to the values still needed; ties by number."""
    made, readers, inputs = _value_tables(problem)
    size, waiting = problem.tensor_bytes.tolist(), [len(found) for found in flow.before]
    left = {value: len(found) for value, found in readers.items()}

    def growth(unit: int) -> int:
        return made[unit] - sum(size[value] for value in inputs[unit] if left[value] == 1)

    ready = [(growth(unit), unit) for unit, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    order, done = list[int](), [False] * len(waiting)
    while ready:
        unit = heapq.heappop(ready)[1]
        if done[unit]:  # an older, worse entry of a unit that was pushed again
            continue
        done[unit] = True
        order.append(unit)
        fresh = set(_release(flow, unit, waiting))
        for value in inputs[unit]:
            left[value] -= 1
            if left[value] == 1:  # its last reader now frees it
                fresh.update(other for other in readers[value] if not done[other] and not waiting[other])
        for other in sorted(fresh):
            heapq.heappush(ready, (growth(other), other))
    return order


def _value_tables(problem: Problem) -> tuple[list[int], dict[int, list[int]], list[list[int]]]:
    """Bytes that each unit makes for others, the readers of each value, the values that each unit reads."""
    readers: dict[int, list[int]] = {}
    inputs: list[list[int]] = [[] for _ in problem.units]
    for unit, value in zip(map(int, problem.reads.unit), map(int, problem.reads.item), strict=True):
        if problem.maker[value] not in (-1, unit):
            readers.setdefault(value, []).append(unit)
            inputs[unit].append(value)
    made = [0] * len(problem.units)
    for value in readers:
        made[int(problem.maker[value])] += int(problem.tensor_bytes[value])
    return made, readers, inputs


def _release(flow: Flow, unit: int, waiting: list[int]) -> list[int]:
    """Units that are ready now that this one is done."""
    for other in flow.after[unit]:
        waiting[other] -= 1
    return [other for other in flow.after[unit] if not waiting[other]]
