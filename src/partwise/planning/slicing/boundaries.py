"""Where slices may begin: every position of a line, or as many of the best as the work allows.

The slicing DP costs stages × positions², less where nearly all positions are needed. Beyond that only some
positions are kept: of each of equally heavy windows the one that the fewest bytes cross. The slicing is then
exact for the positions kept, and the plan says so.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from partwise.planning.arrays import Floats, Ints
from partwise.planning.slicing.line import Line
from partwise.planning.slicing.room import Room

__all__ = ["boundaries", "narrowest"]

_WORK = 600_000_000  # stages × positions²; about 2 s of numpy for each objective and order
_MOST = 4096
_SCAN = 25_000_000  # positions kept × length of the line; each position kept is measured against a memory limit
_MANY = 2048  # stages; their table would be larger than what it decides


def boundaries(line: Line, room: Room, stages: int | None) -> Ints:
    """Positions 0, …, length at which a stage may begin or end, ascending; more than there are stages.

    Args:
        line: the problem in one order.
        room: its limits; the fewest stages that keep them stay possible.
        stages: how many are wanted, if that is fixed.
    """
    most = _most(line, room, stages or 0)
    if line.length + 1 <= most:
        return np.arange(line.length + 1)
    kept = {0, line.length, *(room.greedy() or ())}
    kept.update(narrowest(line, max(1, most - len(kept))))
    if stages and len(kept) <= stages:  # windows of one position can fall together
        others = [position for position in range(line.length) if position not in kept]
        kept.update(others[: stages + 1 - len(kept)])
    return np.array(sorted(kept), np.int64)


def _most(line: Line, room: Room, stages: int) -> int:
    """How many positions to keep."""
    if stages > _MANY:
        return stages + 1
    scanned = _SCAN // line.length if room.limited else _MOST
    return stages + 1 + min(_MOST, scanned, int((_WORK / max(1, stages)) ** 0.5))


def narrowest(line: Line, windows: int) -> list[int]:
    """In each of equally heavy windows the position that the fewest bytes cross, the first of equals."""
    crossing, weight = _crossing_bytes(line), _weight(line)
    shares = np.arange(windows + 1, dtype=np.float64) * (weight.sum() / windows)
    found = _places(np.cumsum(weight), shares)
    ends = sorted({min(max(end, 1), line.length - 1) for end in found})
    return [start + int(np.argmin(crossing[start:end])) for start, end in pairwise(ends)]


def _places(ascending: Floats, values: Floats) -> list[int]:
    return np.searchsorted(ascending, values).tolist()


def _weight(line: Line) -> Floats:
    """Share of each position in compute and in number, so that neither leaves a window empty of choice."""
    seconds = line.problem.seconds[line.order]
    return seconds / (seconds.sum() or 1.0) + 1.0 / line.length


def _crossing_bytes(line: Line) -> Ints:
    """For each position the bytes of values made before it and needed at or after it."""
    values = line.made.item
    size, change = line.problem.tensor_bytes[values], np.zeros(line.length + 2, np.int64)
    np.add.at(change, line.maker[values] + 1, size)
    np.subtract.at(change, line.last[values] + 1, size)
    return np.cumsum(change)
