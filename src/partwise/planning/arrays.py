"""Arrays that everything here counts with: numbers, pairs and lists of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bits", "Floats", "Ints", "Pairs", "Rows"]

Bits = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which units need which items, each pair once."""

    unit: Ints
    item: Ints


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of tensors for each node: those of node i are `items[starts[i]:starts[i + 1]]`."""

    starts: Ints
    items: Ints

    def of(self, nodes: Ints) -> tuple[Ints, Ints]:
        """For some nodes: the places (0, 1, …) in `nodes` and the items there, flat and in their order."""
        counts = self.starts[nodes + 1] - self.starts[nodes]
        places = np.repeat(np.arange(len(nodes)), counts)
        shift = self.starts[nodes] - np.cumsum(counts) + counts
        return places, self.items[np.arange(len(places)) + np.repeat(shift, counts)]
