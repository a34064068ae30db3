"""Whether steps can run as one kernel: rows that line up, and what must lie in fast memory meanwhile.

The model: a kernel takes tiles of rows (or pixels) one by one. What only pointwise steps made from memory can be
made again wherever it is read, so it is *free*. Anything else exists only for the tile's rows:
- pointwise steps take it element by element; they may not spread a row over others;
- a row step or a contraction may stream it if its own rows are those rows or parts of them, and then the tile's
  rows of it must lie in fast memory; a pointwise step that reads it permuted or sliced likewise;
- all else (a contraction's other operand, a window, a look-up) needs the whole of it, and so memory between.
Operands that a contraction streams are assumed to be read from memory once, whatever the number of tiles: the
cache below serves the rest. Attention as a whole needs no rows of scores (the online softmax of
FlashAttention, arXiv 2205.14135): it is one step here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from partwise.profiling.fusion_flow import Flow
from partwise.profiling.fusion_steps import Read, Role, Shape, Step

__all__ = ["TILE_ROWS", "Kernel"]

TILE_ROWS = 16
"""Rows of the smallest tile of a matrix unit. Source: `mma.sync.m16n8k16`, NVIDIA PTX ISA 8.5, section 9.7."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """What exists of a result inside a kernel."""

    count: int
    """Rows that the tiles divide it into; 0: free."""
    pixels: bool = False
    aligned: bool = True
    """Its rows still lie where those of the tile do."""
    padding: bool = False
    """A padding of memory, which even a window can make as it reads."""


_FREE = _Rows(0)


class Kernel:
    """Steps in one kernel, grown one by one in the graph's order."""

    __slots__ = ("_limit", "_need", "_rows", "contracts", "flow", "opaque", "pixels", "rows", "size")

    def __init__(self, flow: Flow, limit: int | None) -> None:
        self.flow, self._limit = flow, limit
        self._rows: dict[str, _Rows] = {}
        self._need = 0.0  # bytes in fast memory for a tile of one row
        self.contracts = self.opaque = self.pixels = False
        self.rows = self.size = 0

    def with_step(self, step: Step) -> Kernel | None:
        """This kernel and one more step, with those behind it; None where they cannot be one."""
        kernel: Kernel | None = self
        for part in step.whole:
            kernel = kernel._with(part) if kernel else None
        return kernel

    def _with(self, step: Step) -> Kernel | None:
        if (self.opaque or step.role is Role.OPAQUE) and self.size:
            return None
        inside = [read for read in step.reads if read.memory in self._rows]
        needed = self._needed(step, inside)
        found = None if needed is None else self._result(step, inside)
        if needed is None or found is None or not self._line_up(found):
            return None
        grown = self._copy()
        grown._need += needed
        grown.contracts |= step.role is Role.CONTRACTION
        grown.opaque = step.role is Role.OPAQUE
        grown.size += 1
        if found.count:
            grown.rows = min(grown.rows, found.count) if grown.rows else found.count
            grown.pixels = found.pixels
        for index in step.nodes:
            grown._rows.update(dict.fromkeys(self.flow.made[index], found))
        return grown if grown._fits() else None

    def _copy(self) -> Kernel:
        other = Kernel(self.flow, self._limit)
        other._rows, other._need = dict(self._rows), self._need
        other.contracts, other.pixels, other.rows, other.size = self.contracts, self.pixels, self.rows, self.size
        return other

    def _fits(self) -> bool:
        tile = TILE_ROWS if self.contracts else 1
        return self._limit is None or self.size == 1 or self._need * tile <= self._limit

    def _line_up(self, found: _Rows) -> bool:
        """Whether the result's rows and the kernel's are the same, or parts of each other."""
        if not found.count or not self.rows:
            return True
        return found.pixels == self.pixels and not max(found.count, self.rows) % min(found.count, self.rows)

    def _needed(self, step: Step, inside: Sequence[Read]) -> float | None:
        """Bytes a row that the step holds in fast memory of what it reads inside; None where rows do not do."""
        total = 0.0
        for read in inside:
            have = self._rows[read.memory]
            if step.role in (Role.WINDOW, Role.LOOKUP) and not have.padding:
                return None
            if step.role is Role.POINTWISE:
                if not have.count:
                    continue
                if not _keeps_rows(step, read, have):
                    return None
                total += self.flow.size[read.memory] / have.count if read.moved else 0
            elif read.memory == step.streamed:
                if have.count and not _streams(step, read, have):
                    return None
                if have.count or step.role is Role.ROW:
                    total += self.flow.size[read.memory] / (have.count or max(step.rows, 1))
            elif have.count:
                return None
        return total

    def _result(self, step: Step, inside: Sequence[Read]) -> _Rows | None:
        """What exists of the step's result; None where its arguments' rows do not line up."""
        if step.role is Role.LOOKUP:
            return _FREE
        if step.role is not Role.POINTWISE:
            have = self._rows.get(step.streamed, _FREE)
            return have if have.count else _Rows(max(step.rows, 1), step.pixels)
        parts = [self._seen(read) for read in inside if self._rows[read.memory].count]
        if not parts:
            return _Rows(0, padding=step.pads and not inside)
        count = min(part.count for part in parts)
        if any(part.pixels != parts[0].pixels or part.count % count for part in parts):
            return None
        aligned = all(part.aligned for part in parts) and _has_rows(step.shape, count, parts[0].pixels)
        return _Rows(count, parts[0].pixels, aligned)

    def _seen(self, read: Read) -> _Rows:
        have = self._rows[read.memory]
        return have if _sees_rows(read, have) else _Rows(have.count, have.pixels, False)


def _sees_rows(read: Read, have: _Rows) -> bool:
    """Whether a read meets the memory's rows in their order."""
    return have.aligned and not read.moved and _has_rows(read.shape, have.count, have.pixels)


def _has_rows(shape: Shape, count: int, pixels: bool) -> bool:
    """Whether the leading dims of a shape, or its pixels, number `count`."""
    if pixels:
        return len(shape) > 2 and shape[0] * prod(shape[2:]) == count
    product = 1
    for size in shape:
        if product == count:
            return True
        product *= size
    return product == count


def _keeps_rows(step: Step, read: Read, have: _Rows) -> bool:
    """Whether a pointwise step leaves every element in the row that it came from."""
    if step.copies or prod(read.shape) >= prod(step.shape):
        return True
    return _sees_rows(read, have) and _has_rows(step.shape, have.count, have.pixels)


def _streams(step: Step, read: Read, have: _Rows) -> bool:
    """Whether the rows that a step works through are the memory's, or parts of them."""
    return step.pixels == have.pixels and _sees_rows(read, have) and not step.rows % have.count
