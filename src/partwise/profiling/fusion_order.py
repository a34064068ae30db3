"""Order of units: reachability within a span, a topological order of a partition, and its repair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import count

from partwise.profiling.fusion_flow import Flow

__all__ = ["SPAN", "in_order", "reaches"]

SPAN = 512
"""Nodes of the graph's order that a unit may span. A transformer block has 20 to 60."""

_MOST_REPAIRS = 20


def reaches(flow: Flow, start: set[int], end: set[int]) -> bool:
    """Whether a value flows from one set of nodes to another; True where they lie too far apart to say."""
    last, seen, waiting = max(end), set(start), sorted(start)
    if last - min(start) > SPAN:
        return True
    while waiting:
        for name in flow.made[waiting.pop()]:
            for reader in flow.readers.get(name, ()):
                if reader in end and reader not in start:
                    return True
                if reader <= last and reader not in seen:
                    seen.add(reader)
                    waiting.append(reader)
    return False


def in_order(flow: Flow, groups: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
    """The groups of nodes in an order in which they can run.

    Groups that wait for each other are taken apart: the smallest first, all of them when that does not end soon.
    """
    listed = [tuple(sorted(group)) for group in groups]
    for repairs in count():
        ordered, stuck = _sort(flow, listed)
        if not stuck:
            return ordered
        several = [group for group in stuck if len(group) > 1]
        apart = set(several if repairs >= _MOST_REPAIRS else [min(several, key=lambda group: (len(group), group))])
        listed = [group for group in listed if group not in apart] + [(i,) for group in apart for i in group]
    raise AssertionError("a graph of single nodes has no circle")


def _sort(flow: Flow, groups: list[tuple[int, ...]]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Groups sorted by their first node as far as values allow, and those on or behind a circle."""
    home = {index: number for number, group in enumerate(groups) for index in group}
    after: list[set[int]] = [set() for _ in groups]
    waits = [0] * len(groups)
    for index, number in home.items():
        for root, _ in flow.reads[index]:
            maker = flow.maker.get(root)
            if maker is not None and home[maker] != number and number not in after[home[maker]]:
                after[home[maker]].add(number)
                waits[number] += 1
    ready = [(groups[number][0], number) for number, left in enumerate(waits) if not left]
    ready.sort()
    ordered = list[tuple[int, ...]]()
    while ready:
        _, number = heappop(ready)
        ordered.append(groups[number])
        for other in after[number]:
            waits[other] -= 1
            if not waits[other]:
                heappush(ready, (groups[other][0], other))
    return ordered, [groups[number] for number in _circles(after, waits)]


def _circles(after: list[set[int]], waits: list[int]) -> list[int]:
    """Of the groups that still wait, those from which some circle can be reached again."""
    stuck = {number for number, left in enumerate(waits) if left}
    while ends := [number for number in stuck if after[number].isdisjoint(stuck)]:
        stuck.difference_update(ends)
    return sorted(stuck)
