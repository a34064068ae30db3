"""What is open at every ideal: the price of each end of a stage, and how far the open values reach.

Between bottlenecks most ideals stand alone at the end of a block, where sums over the blocks answer for all of
them at once; the ideals inside a wide block take a small matrix product each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints, product
from partwise.planning.ideals.instance import Channel
from partwise.planning.ideals.lattice import Lattice

__all__ = ["Borders", "borders"]


@dataclass(frozen=True, slots=True)
class Borders:
    """What the values open at each ideal cost, in each channel, and where they end.

    Attributes:
        left: [channels, ideals] paid by the stage that begins at the ideal.
        right: [channels, ideals] paid by the one that ends there.
        reach: [ideals] the last block with a reader or maker of a value open there; at least the ideal's own.
    """

    left: Floats
    right: Floats
    reach: Ints


@dataclass(frozen=True, slots=True)
class _Prices:
    """[channels, values] of the values that count; a value made inside is received at the left, sent at the right."""

    receive: Floats
    send: Floats

    def of(self, values: Ints) -> _Prices:
        return _Prices(self.receive[:, values], self.send[:, values])


def borders(lattice: Lattice, channels: Sequence[Channel], longest: int | None = None) -> Borders:
    """The borders of all ideals.

    Args:
        lattice: the ideals.
        channels: what is paid.
        longest: values that span more blocks cost nothing here; None: all count.
    """
    values = lattice.values
    chosen = np.ones(len(values.first), bool) if longest is None else values.last - values.first <= longest
    makers = values.makers()
    prices = _Prices(*(np.stack([getattr(c, side) * chosen for c in channels]) for side in ("receive", "send")))
    left, right = (np.zeros((len(channels), len(lattice))) for _ in range(2))
    ends = lattice.starts[1:] - 1
    left[:, ends], right[:, ends] = _over_blocks(lattice, makers, prices, inside=0)
    through = _over_blocks(lattice, makers, prices, inside=1)
    furthest = _furthest(lattice, chosen)
    reach = np.zeros(len(lattice), np.int64)
    reach[ends] = furthest
    last = np.where(chosen, values.last, 0)
    for alike in lattice.opened:
        span = lattice.starts[alike.blocks][:, None] + np.arange(len(alike.is_open))
        made, unmade = ((alike.is_open & inside).astype(float) for inside in (alike.is_made, ~alike.is_made))
        here = prices.of(alike.things)
        for table, rest, inner, outer in (
            (left, through[0], here.receive, here.send),
            (right, through[1], here.send, here.receive),
        ):
            base = rest[:, alike.blocks] - inner @ alike.before - outer @ alike.after
            table[:, span] = _paid(inner, made) + _paid(outer, unmade) + base[:, :, None]
        reached = np.maximum(alike.blocks, furthest[alike.blocks - 1])[:, None].repeat(len(alike.is_open), axis=1)
        for column, is_open in enumerate(alike.is_open.T):
            np.maximum(reached, np.where(is_open, last[alike.things[:, column], None], 0), out=reached)
        reach[span] = reached
    return Borders(left, right, reach)


def _paid(prices: Floats, counts: Floats) -> Floats:
    """[channels, blocks, ideals] Prices [channels, blocks, values] of the values that count at an ideal."""
    channels, blocks, values = prices.shape
    return product(counts, prices.reshape(channels * blocks, values).T).T.reshape(channels, blocks, len(counts))


def _over_blocks(lattice: Lattice, makers: Ints, prices: _Prices, *, inside: int) -> tuple[Floats, Floats]:
    """[channels, blocks + 1] For each block what is paid for the values open at its end (`inside` 0), or for those
    open from before it until after it (`inside` 1), as long as the maker does not lie in it."""
    values, count = lattice.values, len(lattice.blocks) + 1
    low, high = values.first + inside, values.last - 1
    made = np.maximum(low, makers + inside), high
    unmade = low, np.minimum(makers - 1, high)
    left = _spread(count, *made, prices.receive) + _spread(count, *unmade, prices.send)
    right = _spread(count, *made, prices.send) + _spread(count, *unmade, prices.receive)
    return left, right


def _spread(count: int, low: Ints, high: Ints, amounts: Floats) -> Floats:
    """[channels, count] Amounts added up on the blocks from `low` to `high`, both included."""
    chosen = low <= high
    change = [
        np.bincount(low[chosen], row[chosen], count + 1) - np.bincount(high[chosen] + 1, row[chosen], count + 1)
        for row in amounts
    ]
    return np.cumsum(change, axis=1)[:, :count].astype(np.float64)


def _furthest(lattice: Lattice, chosen: Bits) -> Ints:
    """[blocks + 1] The last block that a value open at the end of each block reaches; the block itself if none."""
    values, count = lattice.values, len(lattice.blocks) + 1
    last = np.arange(count)
    np.maximum.at(last, values.first[chosen], values.last[chosen])
    return np.maximum.accumulate(last)
