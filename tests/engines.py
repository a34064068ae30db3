"""Engines for tests: arithmetic by rows without a framework, and failures on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from partwise.errors import EngineError
from partwise.packaging import Segment
from partwise.runtime.engines import EngineSettings, LoadedSegment, NodeObserver
from partwise.runtime.engines.null_engine import NullEngine

__all__ = ["POISON", "Far", "Near", "Picky"]

POISON = 1000.0
"""A number that the engine refuses to see; the null engine, whose numbers it hands on, makes none above 99."""


class Picky:
    """Answers each row by itself, and fails on a row that holds the poison."""

    loads = 0

    def __init__(self, threads: int, device: str = "cpu") -> None:
        self._null = NullEngine(threads, device)

    @property
    def settings(self) -> EngineSettings:
        """What it claims."""
        return self._null.settings

    def load(self, segment: Segment) -> LoadedSegment:
        """See `Engine`."""
        Picky.loads += 1
        return _Picky(self._null.load(segment), segment)


class _Picky:
    def __init__(self, null: LoadedSegment, segment: Segment) -> None:
        self._null, self._segment = null, segment

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        """Each row's answer follows from that row alone."""
        if any((value == POISON).any() for value in inputs.values()):
            raise EngineError(self._segment.name, "will not eat that")
        rows = len(next(iter(inputs.values())))
        ones = [self._row(inputs, row, sizes, observe) for row in range(rows)]
        return {name: np.concatenate([one[name] for one in ones]) for name in ones[0]}

    def _row(
        self, inputs: Mapping[str, np.ndarray], row: int, sizes: Mapping[str, int], observe: NodeObserver | None
    ) -> dict[str, np.ndarray]:
        alone = {name: value[row : row + 1] for name, value in inputs.items()}
        return self._null.run(alone, {**sizes, "batch": 1}, observe)


class Near(Picky):
    """The null engine's answers a little off, and it says that it has no exact way."""

    off = 1e-6
    """Over each value."""

    @property
    def settings(self) -> EngineSettings:
        """What it claims."""
        return replace(self._null.settings, engine="near", exact=False)

    def load(self, segment: Segment) -> LoadedSegment:
        """See `Engine`."""
        return _Near(self._null.load(segment), self.off if segment.name.endswith("2") else 0.0)


class Far(Near):
    """Farther off than anybody allows."""

    off = 0.1


class _Near:
    def __init__(self, null: LoadedSegment, off: float) -> None:
        self._null, self._off = null, off

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        """The last segment's values are off."""
        found = self._null.run(inputs, sizes, observe)
        return {name: (value * (1 + self._off)).astype(value.dtype) for name, value in found.items()}
