"""The traffic of sets of steps of one island, kept as bit masks so that adding a step is cheap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from partwise.ir import Kind
from partwise.profiling.fusion_flow import Flow

__all__ = ["Traffic", "bits"]


@dataclass(slots=True)
class _Memory:
    """One memory, as an island sees it."""

    bytes: int
    maker: int = -1
    """The member that makes it; -1: it comes from outside."""
    readers: int = 0
    leaves: bool = False
    """Read outside the island, or a result."""
    seen: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """For each view of it: the members that read it so, and its bytes."""

    def read_bytes(self, members: int) -> int:
        """Bytes that these members read of it, each part once."""
        if not self.readers & members:
            return 0
        return min(self.bytes, sum(size for readers, size in self.seen if readers & members))


class Traffic:
    """Reads and writes of an island's members."""

    def __init__(self, flow: Flow, members: Sequence[Iterable[int]]) -> None:
        self._tables = [0] * len(members)
        self._touched: list[list[_Memory]] = [[] for _ in members]
        home = {index: member for member, nodes in enumerate(members) for index in nodes}
        memories: dict[str, _Memory] = {}
        views: dict[tuple[str, str], int] = {}
        for index, member in home.items():
            for name in flow.made[index]:
                outside = name in flow.kept or any(reader not in home for reader in flow.readers.get(name, ()))
                memories[name] = _Memory(flow.size[name], member, leaves=outside)
            for root, tensor in flow.reads[index]:
                if root in flow.resting and flow.kinds[index] is Kind.EMBEDDING:
                    self._tables[member] += min(flow.size[root], sum(flow.size[name] for name in flow.made[index]))
                else:
                    seen = root if root in flow.resting else tensor
                    views[root, seen] = views.get((root, seen), 0) | 1 << member
        for (root, tensor), readers in views.items():
            memory = memories.setdefault(root, _Memory(flow.size[root]))
            memory.seen.append((readers, flow.size[tensor]))
            memory.readers |= readers
        for memory in memories.values():
            for member in bits(memory.readers | (1 << memory.maker if memory.maker >= 0 else 0)):
                self._touched[member].append(memory)

    def of(self, members: Iterable[int]) -> int:
        """Traffic of these members as one unit."""
        total = have = 0
        for member in sorted(members):
            total += self.added(have, member)
            have |= 1 << member
        return total

    def added(self, members: int, member: int) -> int:
        """What one more member adds to these; all that it reads of the island has a smaller number."""
        bit = 1 << member
        total = self._tables[member]
        for memory in self._touched[member]:
            if memory.maker == member:
                total += memory.bytes if memory.leaves or memory.readers & ~bit else 0
            elif memory.maker >= 0 and members >> memory.maker & 1:
                after = memory.readers & ~(members | bit | 1 << memory.maker)
                total -= memory.bytes if not memory.leaves and not after else 0
            else:
                total += memory.read_bytes(members | bit) - memory.read_bytes(members)
        return total


def bits(mask: int) -> tuple[int, ...]:
    """The members of a bit mask, ascending."""
    found = list[int]()
    while mask:
        found.append((mask & -mask).bit_length() - 1)
        mask &= mask - 1
    return tuple(found)
