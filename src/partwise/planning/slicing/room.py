"""Which intervals of a line keep the limits: exact, without dividing the graph.

Memory at the steps of placed nodes can only grow when an interval of the capture order grows: nodes run in the
same order, so what is alive at a step of the smaller is alive at that step of the larger (tests/properties).
The whole peak nearly always does too. Two things break it: a repeated node's step, which comes before all placed
ones and so finds every received value there, and another order than the one that stages run in. So `may_fit`
finds quickly what is worth a look, and `fits` is the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np

from partwise.planning.arrays import Floats, Ints
from partwise.planning.records import Limits
from partwise.planning.slicing.line import Line

__all__ = ["Need", "Room"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one stage would need of each limited thing."""

    weight_bytes: int
    kept_bytes: int
    """K/V, and what the engine takes for itself."""
    activation_bytes: int
    parameters: int
    layers: int

    @property
    def memory_bytes(self) -> int:
        """Weights, what is kept, and the highest sum of activations alive at once."""
        return self.weight_bytes + self.kept_bytes + self.activation_bytes


class Room:
    """The intervals of one line against limits."""

    def __init__(self, line: Line, limits: Limits) -> None:
        self.line, self.limits = line, limits
        self._layers = np.concatenate(([0], np.cumsum(line.problem.layers[line.order])))
        self._placed = line.problem.is_placed
        self._whole = inf  # activations of the whole: more than any part of the capture order has
        self._last = np.zeros(len(line.problem.tensor_bytes), np.int64)  # scratch of `_alive`
        if limits.memory_bytes is not None:
            self._whole = self._placed_activations(0, line.length)

    @property
    def limited(self) -> bool:
        """Whether there is any limit on a single stage."""
        limits = self.limits
        return (limits.memory_bytes, limits.max_parameters, limits.max_layers) != (None, None, None)

    def fits(self, i: int, j: int) -> bool:
        """Whether the stage [i, j) keeps every limit."""
        spare = self._spare(i, j)
        return spare == inf or (spare >= 0 and self._activations(i, j) <= spare)

    def may_fit(self, i: int, j: int) -> bool:
        """The same by the memory at placed nodes alone: never False where `fits` is True."""
        spare = self._spare(i, j)
        return spare >= self._whole or (spare >= 0 and self._placed_activations(i, j) <= spare)

    def _spare(self, i: int, j: int) -> float:
        """Memory that the limits leave for activations; below 0 where one of them is broken already."""
        limits = self.limits
        if limits.max_layers is not None and self._layers[j] - self._layers[i] > limits.max_layers:
            return -1
        if limits.max_parameters is not None and self._parameters(i, j) > limits.max_parameters:
            return -1
        return inf if limits.memory_bytes is None else limits.memory_bytes - self._held(i, j)

    def need(self, i: int, j: int) -> Need:
        """What the stage [i, j) needs."""
        kept = self._kept(i, j)
        return Need(
            weight_bytes=self._held(i, j) - kept,
            kept_bytes=kept,
            activation_bytes=self._activations(i, j),
            parameters=self._parameters(i, j),
            layers=int(self._layers[j] - self._layers[i]),
        )

    def reach(self, i: int, start: int, fits: Callable[[int, int], bool]) -> int:
        """The furthest j with room for [i, j), from a `start` known to fit (or i: nothing fits yet)."""
        low, high, step = start, start + 1, 1
        while high <= self.line.length and fits(i, high):
            low, step = high, 2 * step
            high = min(low + step, self.line.length) if low < self.line.length else self.line.length + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(i, middle) else (low, middle)
        return low

    def greedy(self) -> list[int] | None:
        """Boundaries 0, …, length of the fewest stages; None where a unit alone has no room."""
        found = [0]
        while found[-1] < self.line.length:
            found.append(self.reach(found[-1], found[-1], self.fits))
            if found[-1] == found[-2]:
                return None
        return found

    def _held(self, i: int, j: int) -> int:
        """Weights and what is kept."""
        problem = self.line.problem
        return int(problem.weight_bytes[self.line.holds.within(i, j)].sum()) + problem.overhead_bytes

    def _kept(self, i: int, j: int) -> int:
        problem = self.line.problem
        return int(problem.kept_bytes[self.line.holds.within(i, j)].sum()) + problem.overhead_bytes

    def _parameters(self, i: int, j: int) -> int:
        return int(self.line.problem.parameters[self.line.holds.within(i, j)].sum())

    def _activations(self, i: int, j: int) -> int:
        return int(self._alive(i, j)[1].max(initial=0))

    def _placed_activations(self, i: int, j: int) -> int:
        nodes, alive = self._alive(i, j)
        return int(alive[self._placed[nodes]].max(initial=0))

    def _alive(self, i: int, j: int) -> tuple[Ints, Floats]:
        """Nodes of the stage [i, j) and the bytes alive at each, by the rules of `profiling.timeline`."""
        problem, last = self.line.problem, self._last
        nodes = np.sort(self.line.runs.within(i, j))
        received, end = self.line.received(i, j), len(nodes)
        made_at, made = problem.node_outputs.of(nodes)
        read_at, read = problem.node_inputs.of(nodes)
        last[received] = end
        last[made] = made_at
        last[read] = read_at  # reads come in the order of steps, so the last one stays
        last[self.line.sent(i, j)] = end
        last[self.line.kept.flat(i, j)] = end
        values = np.concatenate((received, made))
        born = np.concatenate((np.zeros(len(received), np.int64), made_at))
        return nodes, _alive_bytes(born, last[values], problem.tensor_bytes[values], end)


def _alive_bytes(born: Ints, last: Ints, size: Ints, steps: int) -> Floats:
    """Sum of the sizes alive at each step, where a value lives from `born` to `last`, both included."""
    weight = size.astype(np.float64)  # exact: sums stay below 2^53
    grows, shrinks = (np.bincount(step, weight, steps + 2).astype(np.float64) for step in (born, last + 1))
    return np.cumsum(grows - shrinks)[:steps]
