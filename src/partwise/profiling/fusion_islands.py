"""Islands: sets of steps outside of which no step of theirs can be fused.

Two steps are linked where one reads what the other makes, or where both are near readers of the same memory (query,
key and value), the two can be one kernel, and no way from one to the other leads over a pair that cannot.
A unit is a connected set of linked steps, so the best fusion of a graph is that of its islands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate

from partwise.profiling.fusion_flow import Flow
from partwise.profiling.fusion_kernel import Kernel
from partwise.profiling.fusion_order import SPAN
from partwise.profiling.fusion_steps import Role, Step

__all__ = ["Island", "islands"]

_MOST_MEMBERS = 160
"""Of an island in one piece. A transformer block has 10 to 30."""
_SHORTEST_PIECE, _LONGEST_PIECE = 24, 64
"""Members of a piece of a larger one."""
_NEAR_READERS = 4
"""Readers of a memory that each one may be fused with for reading it once: query, key and value are three."""
_MOST_CHAINS, _LONGEST_CHAIN = 4, 8
"""Of a pointwise step; more would find more pairs that cannot be one kernel, and so smaller islands."""


@dataclass(frozen=True, slots=True)
class Island:
    """Linked steps; members are numbered in the graph's order, sets of them are bit masks."""

    places: tuple[int, ...]
    before: tuple[int, ...]
    """Members that must have run before each member."""
    apart: tuple[int, ...]
    """Members from which a way leads to each member through steps outside: never in one unit with it."""
    linked: tuple[int, ...]
    """Members linked to each member."""


def islands(flow: Flow, found: dict[int, Step], limit: int | None) -> list[list[Island]]:
    """The islands in the order of their first step, each in one piece, or in several if it is large."""
    return _Sea(flow, found, limit).islands()


class _Sea:
    def __init__(self, flow: Flow, found: dict[int, Step], limit: int | None) -> None:
        self.flow, self.found, self.limit = flow, found, limit
        self.order = sorted(found)
        self._position = {place: position for position, place in enumerate(self.order)}
        self.home = {index: place for place, step in found.items() for index in step.all_nodes}
        self.makers: dict[int, dict[int, bool]] = {}
        """For each step its makers, and whether the two can be one kernel."""
        self._alone = {place: Kernel(flow, limit).with_step(found[place]) for place in self.order}
        self._chains: dict[int, dict[int, Kernel]] = {}
        """For each pointwise step the others that lead to it over pointwise ones, with the kernel of the way."""
        for place in self.order:
            self._look_back(place)

    def islands(self) -> list[list[Island]]:
        links = [*self._by_data(), *self._by_reading()]
        parent = {place: place for place in self.order}

        def top(place: int) -> int:
            while parent[place] != place:
                parent[place] = parent[parent[place]]
                place = parent[place]
            return place

        for one, other in links:
            a, b = top(one), top(other)
            parent[max(a, b)] = min(a, b)
        members: dict[int, list[int]] = {}
        for place in self.order:
            members.setdefault(top(place), []).append(place)
        near: dict[int, list[tuple[int, int]]] = {}
        for one, other in dict.fromkeys(links):
            near.setdefault(one, []).append((one, other))
        found = list[list[Island]]()
        for places in members.values():
            pieces = self._pieces(places)
            found.append([self._island(piece, [link for p in piece for link in near.get(p, ())]) for piece in pieces])
        return found

    def _pieces(self, places: list[int]) -> list[list[int]]:
        """The places, cut where little passes if they are too many."""
        passing, pieces, start = self._passing(places) if len(places) > _MOST_MEMBERS else [], list[list[int]](), 0
        while passing and len(places) - start > _LONGEST_PIECE:
            ends = range(start + _SHORTEST_PIECE, start + _LONGEST_PIECE + 1)
            end = min(ends, key=lambda position: (passing[position], -position))
            pieces.append(places[start:end])
            start = end
        return [*pieces, places[start:]]

    def _passing(self, places: list[int]) -> list[int]:
        """Before each place the bytes that earlier ones make and later ones read."""
        number = {place: position for position, place in enumerate(places)}
        change = [0] * (len(places) + 1)
        for position, place in enumerate(places):
            for name in (name for index in self.found[place].all_nodes for name in self.flow.made[index]):
                last = max((number.get(self.home[r], 0) for r in self.flow.readers.get(name, ())), default=0)
                if last > position:
                    change[position + 1] += self.flow.size[name]
                    change[last + 1] -= self.flow.size[name]
        return list(accumulate(change))

    def _look_back(self, place: int) -> None:
        """Find a step's makers, and those before pointwise makers that it cannot be one kernel with."""
        step = self.found[place]
        near = {self.home[self.flow.maker[r.memory]] for r in step.reads if r.memory in self.flow.maker} - {place}
        makers = self.makers[place] = {maker: self._can_join(maker, place) for maker in sorted(near)}
        chains: dict[int, Kernel] = {}
        for maker in sorted(near):
            alone = self._alone[maker]
            pointwise = self.found[maker].role is Role.POINTWISE
            for first, kernel in self._chains[maker].items() if pointwise else [(maker, alone)] if alone else []:
                grown = kernel.with_step(step)
                if grown is None:
                    makers[first] = False
                elif len(chains) < _MOST_CHAINS and grown.size < _LONGEST_CHAIN:
                    chains.setdefault(first, grown)
        self._chains[place] = chains if step.role is Role.POINTWISE else {}

    def _can_join(self, one: int, other: int) -> bool:
        kernel = self._alone[one]
        return kernel is not None and kernel.with_step(self.found[other]) is not None

    def _by_data(self) -> list[tuple[int, int]]:
        return [
            (maker, place)
            for place in self.order
            for maker, can in self.makers[place].items()
            if can and not self._is_apart(maker, place)
        ]

    def _by_reading(self) -> list[tuple[int, int]]:
        found = list[tuple[int, int]]()
        for readers in self.flow.readers.values():
            places = sorted({self.home[reader] for reader in readers})
            pairs = [(p, q) for k, p in enumerate(places) for q in places[k + 1 : k + 1 + _NEAR_READERS]]
            for one, other in pairs:
                if one not in self.makers[other] and self._shares(one, other) and not self._is_apart(one, other):
                    found.append((one, other))
        return found

    def _shares(self, one: int, other: int) -> bool:
        """Whether both read the same activation, and can be one kernel."""
        first, second = ({read.memory for read in self.found[place].reads} for place in (one, other))
        return not first.isdisjoint(second) and self._can_join(one, other)

    def _is_apart(self, one: int, other: int) -> bool:
        """Whether a way from one step to a later one leads over a pair that cannot be one kernel."""
        if other - one > SPAN:
            return True
        if all(maker <= one for maker in self.makers[other]):
            return False
        broken, waiting = {other: False}, [-other]
        while waiting:
            place = -heappop(waiting)
            for maker, can in self.makers[place].items():
                cut = broken[place] or not can
                if maker == one and cut and place != other:
                    return True
                if maker > one:
                    if maker not in broken:
                        heappush(waiting, -maker)
                    broken[maker] = broken.get(maker, False) or cut
        return False

    def _island(self, places: Sequence[int], links: Sequence[tuple[int, int]]) -> Island:
        number = {place: member for member, place in enumerate(places)}
        before, apart = [0] * len(places), [0] * len(places)
        linked = [0] * len(places)
        for one, other in links:
            if other not in number:
                continue
            linked[number[one]] |= 1 << number[other]
            linked[number[other]] |= 1 << number[one]
        if len(places) > 1:
            self._relate(places, number, before, apart)
        return Island(tuple(places), tuple(before), tuple(apart), tuple(linked))

    def _relate(self, places: Sequence[int], number: dict[int, int], before: list[int], apart: list[int]) -> None:
        """Fill in which members come before each, directly and through steps outside."""
        through: dict[int, int] = {}
        first, last = self._position[places[0]], self._position[places[-1]]
        for place in self.order[first : last + 1]:
            direct = outside = 0
            for maker in self.makers[place]:
                direct |= 1 << number[maker] if maker in number else 0
                outside |= through.get(maker, 0)
            if place in number:
                before[number[place]], apart[number[place]] = direct | outside, outside
            else:
                through[place] = direct | outside
