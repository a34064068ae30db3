"""The engine protocol: loads a segment once, then runs it on values.

Interfaces apart from implementations: executors know this file, never an engine. Values are numpy arrays
(bfloat16 and float8 by ml_dtypes) whose strides are part of the value: layout chooses a kernel's path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from partwise.freed_memory import FreedMemory
from partwise.packaging import Segment

__all__ = ["Engine", "EngineSettings", "LoadedSegment", "NodeObserver"]

NodeObserver = Callable[[str, float, float], None]
"""Called after each node with (name, start, end) in seconds of a monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What a run claims about how it computed: the same settings give the same bits."""

    engine: str
    version: str
    device: str
    threads: int
    precision: str = "as stored"
    """Types of the arithmetic; `as stored` never changes a tensor's type."""
    experts: str | None = None
    """Mode of the kernel of `partwise::experts`; None where the engine has no such operator."""
    pinning: str = "off"
    """Whether the engine binds its threads to processors."""
    freed_memory: FreedMemory = FreedMemory.LEFT
    """Whether its process keeps what operators free: it changes times, never bits."""
    exact: bool | None = True
    """Whether segments chained on this engine give the bits of the whole on it; None where nothing is computed."""
    processor: str = ""
    """For which the kernels were chosen (`machine.processor`); empty in records of before."""
    fake: str | None = None
    """What a fake device pretends; None for a real one. No figure of a run with a fake device is of real hardware."""


class LoadedSegment(Protocol):
    """A segment ready to run."""

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        """Outputs by tensor name.

        Args:
            inputs: every input of the segment's interface, by tensor name.
            sizes: a value for each symbol of the model.
            observe: called for each node, where the engine can.

        Raises:
            EngineError: the engine failed.
        """
        ...


class Engine(Protocol):
    """Computes segments."""

    @property
    def settings(self) -> EngineSettings:
        """What this engine will claim."""
        ...

    def load(self, segment: Segment) -> LoadedSegment:
        """Make a segment ready to run.

        Raises:
            EngineError: the engine refuses it.
        """
        ...
