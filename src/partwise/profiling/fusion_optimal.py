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
from partwise.profiling.fusion_traffic import Traffic, bits

__all__ = ["Solution", "optimal_groups"]

_MOST_TRIED = 30_000
"""Steps added to kernels for one island before it is given up as too large; some 15 µs each."""
_MOST_TRIED_IN_ALL = 90_000
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
        for pieces in islands(self.flow, self.found, self.limit):
            exact, chosen = len(pieces) == 1, list[tuple[int, ...]]()
            for island in pieces:
                members, best = self._solve(island)
                exact &= best
                chosen += [tuple(island.places[m] for m in group) for group in members]
            groups += chosen
            bound += sum(map(self._cost, chosen)) if exact else self._least(pieces)
        return Solution(groups, bound)

    def _solve(self, island: Island) -> tuple[Groups, bool]:
        """Groups of members, and whether they are proven the best."""
        if len(island.places) == 1:
            return ((0,),), True
        key = _key(self.flow, self.found, island)
        if key not in self._known:
            budget = min(_MOST_TRIED, self._left)
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
        tried, search.budget = search.tried, search.tried + len(island.places) ** 2
        intervals = search.intervals()
        search.tried = tried
        if any(len(groups) > 1 for groups in taken):
            return intervals
        greedy: dict[int, list[int]] = {}
        for member, place in enumerate(island.places):
            greedy.setdefault(self._greedy[place], []).append(member)
        return min(intervals, tuple(map(tuple, greedy.values())), key=search.total)

    def _cost(self, places: Sequence[int]) -> int:
        return self.flow.unit(index for place in places for index in self.found[place].all_nodes).traffic_bytes

    def _least(self, pieces: Sequence[Island]) -> int:
        """What enters and leaves an island at least: as if it were one unit."""
        return self._cost([place for island in pieces for place in island.places])


@dataclass(frozen=True, slots=True)
class _Group:
    """Members that are one kernel so far."""

    members: int
    last: int
    kernel: Kernel
    ready: int
    """Members whose predecessors have run or are in it."""
    parts: tuple[tuple[int, int], ...]
    """Its connected parts, each with the members that they are linked to."""
    bytes: int
    """Traffic as one unit."""


class _Ideals:
    """One island's ideals and kernels."""

    def __init__(self, search: _Search, island: Island, budget: int) -> None:
        self.search, self.island, self.budget = search, island, budget
        self.steps = [search.found[place] for place in island.places]
        self.traffic = Traffic(search.flow, [step.all_nodes for step in self.steps])
        self.tried = 0
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
                    after = ideal | group.members
                    value = (so_far + group.bytes, units + 1, ideal)
                    if after not in reached or value < reached[after]:
                        reached[after] = value
                        layers[after.bit_count()].add(after)
        groups, ideal = list[tuple[int, ...]](), whole
        while ideal:
            before = reached[ideal][2]
            groups.append(bits(ideal & ~before))
            ideal = before
        return tuple(reversed(groups))

    def intervals(self) -> Groups:
        """The best partition into intervals of the graph's order, each then in its connected parts."""
        count = len(self.steps)
        best: list[tuple[int, int, int]] = [(0, 0, 0)] + [(-1, 0, 0)] * count
        parts: dict[tuple[int, int], tuple[int, ...]] = {}
        for start in range(count):
            group: _Group | None = self._start(0)
            for member in range(start, count):
                group = None if self.island.apart[member] & group.members else self._grown(group, member)
                if group is None:
                    break
                value = (best[start][0] + group.bytes, best[start][1] + 1, start)
                if best[member + 1][0] < 0 or value < best[member + 1]:
                    best[member + 1] = value
                    parts[start, member + 1] = tuple(part for part, _ in group.parts)
        groups, end = list[tuple[int, ...]](), count
        while end:
            start = best[end][2]
            groups += reversed([bits(part) for part in parts[start, end]])
            end = start
        return tuple(reversed(groups))

    def total(self, groups: Groups) -> int:
        """Traffic of several units."""
        return sum(self.traffic.of(group) for group in groups)

    def _kernels(self, ideal: int) -> Iterator[_Group]:
        """Every connected kernel that can run next; members are added in order, so each comes once."""
        waiting = [self._start(ideal)]
        while waiting:
            group = waiting.pop()
            for member in bits(group.ready >> (group.last + 1) << (group.last + 1)):
                if self.island.apart[member] & group.members:
                    continue
                grown = self._grown(group, member, ideal)
                if grown is None:
                    continue
                later = ~ideal >> (member + 1) << (member + 1)
                if len(grown.parts) == 1:
                    yield grown
                elif not all(linked & later for _, linked in grown.parts):
                    continue  # some part of it stays alone, whatever comes
                waiting.append(grown)

    def _start(self, ideal: int) -> _Group:
        before = self.island.before
        ready = sum(1 << m for m in range(len(before)) if not ideal >> m & 1 and not before[m] & ~ideal)
        return _Group(0, -1, Kernel(self.search.flow, self.search.limit), ready, (), 0)

    def _grown(self, group: _Group, member: int, ideal: int = 0) -> _Group | None:
        """The group with one more member; None where they are no kernel."""
        self.tried += 1
        if self.tried > self.budget:
            raise _TooMany
        kernel, bit = group.kernel.with_step(self.steps[member]), 1 << member
        if kernel is None:
            return None
        joined, linked, others = bit, self.island.linked[member], list[tuple[int, int]]()
        for part in group.parts:
            if part[1] & bit:
                joined, linked = joined | part[0], linked | part[1]
            else:
                others.append(part)
        have, ready = ideal | group.members | bit, group.ready & ~bit
        for other in self._after[member]:
            if not self.island.before[other] & ~have:
                ready |= 1 << other
        added = self.traffic.added(group.members, member)
        return _Group(group.members | bit, member, kernel, ready, (*others, (joined, linked)), group.bytes + added)


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
