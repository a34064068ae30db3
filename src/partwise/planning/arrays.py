"""Arrays that everything here counts with: numbers, pairs and lists of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bits", "Floats", "Ints", "Pairs", "Rows", "product"]

_ONE_THREAD = 1 << 18
"""Multiplications up to which a product stays on one thread. Source: OpenBLAS 0.3, `interface/gemm.c`:
`SMP_THRESHOLD_MIN` × `GEMM_MULTITHREAD_THRESHOLD`, 65,536 × 4."""
_MANY = 1 << 27  # from here several threads save more than waiting for each other costs; some 50 ms on one

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


def product(one: Floats, other: Floats) -> Floats:
    """The matrix product of two tables [rows, …] and […, columns]; of middling size piece by piece, on one thread.

    A thread that waits for others costs its time again, and where the machine is busy many times over.
    """
    wide = _ONE_THREAD // max(1, one.size)
    if one.size * other.shape[1] > _MANY or wide < 1 or other.shape[1] <= wide:
        return one @ other
    found = np.empty((len(one), other.shape[1]))
    for start in range(0, other.shape[1], wide):
        np.matmul(one, other[:, start : start + wide], out=found[:, start : start + wide])
    return found
