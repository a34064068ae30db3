"""When the next request may begin: thresholds of the machine and the bandwidth governor, asked together."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from partwise.errors import GraphError
from partwise.ir.dims import evaluate_shape
from partwise.packaging import Manifest, Port
from partwise.packaging.arrays import numpy_dtype
from partwise.runtime.governor import Accounted, Chain, Governor
from partwise.runtime.sizes import bind_sizes
from partwise.runtime.thresholds import Gate

__all__ = ["Held", "Pace", "traffic_bytes"]

_LOOK_S = 0.1
"""Between two looks at a threshold that is passed, and between two samples of the bus (assumed)."""


class Pace:
    """Holds requests back; whoever feeds an executor asks it."""

    def __init__(
        self, gate: Gate | None = None, governor: Governor | None = None, chain: Chain | None = None,
        accounted: Accounted | None = None,
    ) -> None:  # fmt: skip
        self.gate, self.governor = gate, governor
        self._chain, self._accounted = chain, accounted
        self._sampled_s = 0.0

    def wait_s(self, *, thresholds: bool = True) -> float:
        """How long until the next request may begin; 0 for now.

        Args:
            thresholds: ask them too; a server has refused by them before anything waits.
        """
        now = time.monotonic()
        if thresholds and self.gate is not None and self.gate.passed():
            return _LOOK_S
        if self.governor is None:
            return 0.0
        self._sample(now)
        return self.governor.wait_s(now)

    def begin(self, size: int) -> None:
        """A request that moves so many bytes begins."""
        if self.governor is not None:
            self.governor.begin(time.monotonic(), size)

    def finished(self, start_s: float, size: int) -> None:
        """It is done."""
        if self._accounted is not None:
            self._accounted.add(start_s, time.monotonic(), size)

    def _sample(self, now: float) -> None:
        if self._chain is None or self.governor is None or now < self._sampled_s + _LOOK_S:
            return
        self._sampled_s = now
        sample = self._chain.sample(now)
        if sample is not None:
            self.governor.observe(sample)


class Held:
    """A stream of requests that waits for its pace."""

    def __init__(self, pace: Pace, manifest: Manifest) -> None:
        self._pace, self._manifest = pace, manifest
        self._begun: dict[int, tuple[float, int]] = {}

    def until_begun(
        self, request: int, values: Mapping[str, np.ndarray], *, underway: Collection[int]
    ) -> Iterator[float]:
        """Wait until a request may begin; seconds to wait as long as others are under way, which may finish first."""
        while (wait_s := self._pace.wait_s()) > 0:
            if underway:
                yield wait_s
            else:
                time.sleep(wait_s)
        size = traffic_bytes(self._manifest, bind_sizes(self._manifest.symbols, values))
        self._pace.begin(size)
        self._begun[request] = (time.monotonic(), size)

    def answered(self, request: int) -> None:
        """It is done."""
        self._pace.finished(*self._begun.pop(request))


def traffic_bytes(manifest: Manifest, sizes: Mapping[str, int]) -> int:
    """What one run of a model moves by our account: each segment's weights, inputs and outputs once.

    A lower bound: values within a segment that leave the caches come on top, weights that stay in one go off.
    """
    known = {symbol.name: symbol.hint for symbol in manifest.symbols} | dict(sizes)
    ports = (port for segment in manifest.segments for port in (*segment.inputs, *segment.outputs))
    return sum(segment.weight_bytes for segment in manifest.segments) + sum(_bytes(port, known) for port in ports)


def _bytes(port: Port, sizes: Mapping[str, int]) -> int:
    try:
        elements = 1
        for size in evaluate_shape(port.shape or (), sizes):
            elements *= size
    except GraphError:  # a size that only the data decide
        return 0
    return elements * numpy_dtype(port.dtype).itemsize
