"""A Merkle tree over byte strings, with paths from a leaf to the root.

Leaves and inner nodes are hashed under different prefixes, so that neither can pass for the other; an odd node goes up
unpaired. Source: RFC 6962, section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

__all__ = ["Tree", "root_of"]

_LEAF, _INNER = b"\x00", b"\x01"


class Tree:
    """All levels of a tree, leaves first."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        level = [sha256(_LEAF + leaf).digest() for leaf in leaves]
        self._levels = [level]
        while len(level) > 1:
            level = [_join(level[at : at + 2]) for at in range(0, len(level), 2)]
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """32 bytes."""
        return self._levels[-1][0]

    def path(self, place: int) -> tuple[bytes, ...]:
        """The neighbours on the way from a leaf to the root, where it has one."""
        found = list[bytes]()
        for level in self._levels[:-1]:
            if (neighbour := place ^ 1) < len(level):
                found.append(level[neighbour])
            place //= 2
        return tuple(found)


def root_of(leaf: bytes, place: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf at a place leads to; None where the path is not as long as the tree is high.

    Args:
        leaf: the bytes.
        place: of the leaf.
        count: of all leaves.
        path: untrusted.
    """
    if not 0 <= place < count:
        return None
    found, rest = sha256(_LEAF + leaf).digest(), list(path)
    while count > 1:
        if place ^ 1 < count:
            if not rest:
                return None
            other = rest.pop(0)
            found = _join([other, found] if place & 1 else [found, other])
        place, count = place // 2, (count + 1) // 2
    return None if rest else found


def _join(pair: Sequence[bytes]) -> bytes:
    return pair[0] if len(pair) == 1 else sha256(_INNER + pair[0] + pair[1]).digest()
