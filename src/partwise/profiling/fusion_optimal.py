"""The fusion with the least traffic: a dynamic program over the ideals of each island.

An ideal is a set of steps with everything before them. Units that can run one after another are the differences of
a chain of ideals, so the shortest way from the empty ideal to the whole one is the best partition whose quotient is
acyclic. Islands are small, and the blocks of a network give the same island again and again: it is solved once.
Where an island has too many ideals, units are intervals of the graph's order, and the bound says what that may cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from partwise.profiling.fusion_flow import Flow
from partwise.profiling.fusion_islands import Island, islands
from partwise.profiling.fusion_kernel import Kernel
from partwise.profiling.fusion_steps import Step

__all__ = ["Solution", "optimal_groups"]

_MOST_TRIED = 50_000
"""Steps added to kernels for one island before it is given up as too large; some 20 µs each."""
_MOST_MEMBERS = 256
"""Of an island that is searched at all."""
_MOST_TRIED_IN_ALL = 200_000
_LONGEST = 64
"""Steps of the longest interval tried."""
Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """Groups of places, and what no fusion can be below."""

    groups: list[tuple[int, ...]]
    bound_bytes: int


class _TooMany(Exception):
    """The island has more ideals and kernels than may be tried."""


def optimal_groups(flow: Flow, found: dict[int, Step], limit: int | None, greedy: Sequence[Sequence[int]]) -> Solution:
    """The best groups of each island.

    Args:
        flow: the graph's traffic.
        found: its steps.
        limit: bytes of fast memory, or None.
        greedy: groups of nodes that are taken for an island where the search finds none better.
    """
    return _Search(flow, found, limit, greedy).run()


class _Search:
    def __init__(self, flow: Flow, found: dict[int, Step], limit: int | None, greedy: Sequence[Sequence[int]]) -> None:
        self.flow, self.found, self.limit = flow, found, limit
        self._greedy = {index: number for number, group in enumerate(greedy) for index in group}
        self._left = _MOST_TRIED_IN_ALL
        self._known: dict[object, tuple[Groups, bool]] = {}

    def run(self) -> Solution:
        groups, bound = list[tuple[int, ...]](), 0
        for island in islands(self.flow, self.found, self.limit):
            members, exact = self._solve(island)
            chosen = [tuple(island.places[m] for m in group) for group in members]
            groups += chosen
            bound += sum(map(self._cost, chosen)) if exact else self._least(island)
        return Solution(groups, bound)

    def _solve(self, island: Island) -> tuple[Groups, bool]:
        """Groups of members, and whether they are proven the best."""
        if len(island.places) == 1:
            return ((0,),), True
        key = _key(self.flow, self.found, island)
        if key not in self._known:
            budget = min(_MOST_TRIED, self._left) if len(island.places) <= _MOST_MEMBERS else 0
            search = _Ideals(self, island, budget)
            try:
                self._known[key] = search.best(), True
            except _TooMany:
                self._known[key] = self._inexact(island, search), False
            self._left -= search.tried
        return self._known[key]

    def _inexact(self, island: Island, search: _Ideals) -> Groups:
        """The better of the intervals and the greedy groups; the latter are used where they divide no step."""
        taken = {frozenset(self._greedy[i] for i in self.found[place].all_nodes) for place in island.places}
        intervals = search.intervals()
        if any(len(groups) > 1 for groups in taken):
            return intervals
        greedy: dict[int, list[int]] = {}
        for member, place in enumerate(island.places):
            greedy.setdefault(self._greedy[place], []).append(member)
        return min(intervals, tuple(map(tuple, greedy.values())), key=search.total)

    def _cost(self, places: Sequence[int]) -> int:
        return self.flow.unit(index for place in places for index in self.found[place].all_nodes).traffic_bytes

    def _least(self, island: Island) -> int:
        """What enters and leaves an island at least: as if it were one unit."""
        return self._cost(island.places)


class _Ideals:
    """One island's ideals, kernels and costs."""

    def __init__(self, search: _Search, island: Island, budget: int) -> None:
        self.search, self.island, self.budget = search, island, budget
        self.steps = [search.found[place] for place in island.places]
        self.tried = 0
        self._costs: dict[int, int] = {}
        self._connected: dict[int, bool] = {}
        self._after = [[m for m, mask in enumerate(island.before) if mask >> k & 1] for k in range(len(self.steps))]

    def best(self) -> Groups:
        """The chain of ideals with the least traffic, then the fewest units."""
        whole = (1 << len(self.steps)) - 1
        reached: dict[int, tuple[int, int, int]] = {0: (0, 0, 0)}
        layers: list[set[int]] = [{0}, *(set[int]() for _ in self.steps)]
        for layer in layers:
            for ideal in sorted(layer):
                so_far, units, _ = reached[ideal]
                for group in self._kernels(ideal):
                    after = ideal | group
                    value = (so_far + self.cost(group), units + 1, ideal)
                    if after not in reached or value < reached[after]:
                        reached[after] = value
                        layers[after.bit_count()].add(after)
        groups, ideal = list[tuple[int, ...]](), whole
        while ideal:
            before = reached[ideal][2]
            groups.append(_members(ideal & ~before))
            ideal = before
        return tuple(reversed(groups))

    def intervals(self) -> Groups:
        """The best partition into intervals of the graph's order."""
        count = len(self.steps)
        best: list[tuple[int, int, int]] = [(0, 0, 0)] + [(-1, 0, 0)] * count
        for start in range(count):
            kernel: Kernel | None = Kernel(self.search.flow, self.search.limit)
            group, stop = 0, min(count, start + _LONGEST)
            for member in range(start, stop):
                kernel = kernel.with_step(self.steps[member]) if kernel else None
                if kernel is None or self.island.apart[member] & group:
                    break
                group |= 1 << member
                value = (best[start][0] + self.cost(group), best[start][1] + 1, start)
                if best[member + 1][0] < 0 or value < best[member + 1]:
                    best[member + 1] = value
        groups, end = list[tuple[int, ...]](), count
        while end:
            groups.append(tuple(range(best[end][2], end)))
            end = best[end][2]
        return tuple(part for group in reversed(groups) for part in self._split(_mask(group)))

    def cost(self, group: int) -> int:
        """Traffic of these members as one unit."""
        if group not in self._costs:
            nodes = (index for member in _members(group) for index in self.steps[member].all_nodes)
            self._costs[group] = self.search.flow.unit(nodes).traffic_bytes
        return self._costs[group]

    def total(self, groups: Groups) -> int:
        """Traffic of several units."""
        return sum(self.cost(_mask(group)) for group in groups)

    def _kernels(self, ideal: int) -> Iterator[int]:
        """Every connected kernel that can run next; members are added in order, so each comes once."""
        empty = Kernel(self.search.flow, self.search.limit)
        waiting: list[tuple[int, int, Kernel, int]] = [(0, -1, empty, self._ready(ideal))]
        while waiting:
            group, last, kernel, ready = waiting.pop()
            for member in _members(ready >> (last + 1) << (last + 1)):
                if self.island.apart[member] & group:
                    continue
                self.tried += 1
                if self.tried > self.budget:
                    raise _TooMany
                grown, bit = kernel.with_step(self.steps[member]), 1 << member
                if grown is None or not self._can_connect(group | bit, member, ideal):
                    continue
                waiting.append((group | bit, member, grown, self._then_ready(ideal | group | bit, member, ready)))
                if self._is_connected(group | bit):
                    yield group | bit

    def _ready(self, ideal: int) -> int:
        """Members whose predecessors have all run."""
        before = self.island.before
        return sum(1 << m for m in range(len(before)) if not ideal >> m & 1 and not before[m] & ~ideal)

    def _then_ready(self, have: int, member: int, ready: int) -> int:
        for other in self._after[member]:
            if not self.island.before[other] & ~have:
                ready |= 1 << other
        return ready & ~(1 << member)

    def _can_connect(self, group: int, last: int, ideal: int) -> bool:
        """Whether each part of a group is linked to a member that may still come."""
        later, rest = ~ideal >> (last + 1) << (last + 1), group
        part = self._flood(rest)
        if part == group:
            return True
        while rest:
            part = self._flood(rest)
            if not any(self.island.linked[member] & later for member in _members(part)):
                return False
            rest &= ~part
        return True

    def _is_connected(self, group: int) -> bool:
        if group not in self._connected:
            self._connected[group] = self._flood(group) == group
        return self._connected[group]

    def _flood(self, group: int) -> int:
        """The part of a group that its first member is connected with."""
        seen = edge = group & -group
        while edge:
            near = 0
            for member in _members(edge):
                near |= self.island.linked[member]
            edge = near & group & ~seen
            seen |= edge
        return seen

    def _split(self, group: int) -> Iterator[tuple[int, ...]]:
        while group:
            part = self._flood(group)
            yield _members(part)
            group &= ~part


def _members(mask: int) -> tuple[int, ...]:
    found = list[int]()
    while mask:
        found.append((mask & -mask).bit_length() - 1)
        mask &= mask - 1
    return tuple(found)


def _mask(members: Sequence[int]) -> int:
    return sum(1 << member for member in members)


def _key(flow: Flow, found: dict[int, Step], island: Island) -> object:
    """All that an island's solution depends on, with memories numbered as they appear."""
    names: dict[str, int] = {}
    inside = {index for place in island.places for index in found[place].all_nodes}

    def number(name: str) -> int:
        return names.setdefault(name, len(names))

    rows = list[object]()
    for step in (part for place in island.places for part in found[place].whole):
        reads = tuple((number(read.memory), read.shape, read.moved) for read in step.reads)
        streamed = step.streamed and number(step.streamed)
        rows.append((step.role, step.rows, step.pixels, streamed, reads, step.shape, step.copies, step.pads))
        rows += [_traffic_key(flow, index, inside, number) for index in step.nodes]
    return tuple(rows), island.before, island.apart, island.linked


def _traffic_key(flow: Flow, index: int, inside: set[int], number: Callable[[str], int]) -> object:
    """What a node reads and makes; which of it is read outside the island, and in which steps inside."""
    seen = tuple(
        (number(root), flow.size[root], flow.size[name], root in flow.resting) for root, name in flow.reads[index]
    )
    made = tuple((number(name), flow.size[name], flow.leaves(name, inside)) for name in flow.made[index])
    return flow.kinds[index], seen, made
