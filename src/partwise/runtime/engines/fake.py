"""A device that is not there: a real engine made slower, smaller, farther away or faulty, for tests and demos.

It stands for unequal devices where there is one processor. What it computes is the engine's own; what it takes is
pretended, and its settings say so. It waits asleep, so that the processor is free as beside an accelerator.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from partwise.errors import EngineError, EngineMemoryError, InputError
from partwise.packaging import Segment
from partwise.runtime.engines.engine import Engine, EngineSettings, LoadedSegment, NodeObserver
from partwise.units import format_bytes, parse_bytes

__all__ = ["Fake", "FakeEngine", "parse_fake"]

_DEATH = 9  # the exit code of a process that a fake device ends; any but 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fake:
    """What a device pretends to be. Faults are counted in tasks of one loaded segment: every so many fails."""

    speed: float = 1.0
    """Of the real engine; at most 1, since nothing gets faster by pretending."""
    time: float = 0.0
    """A task takes at least so long [s], whatever the engine takes: an absolute speed."""
    memory: int | None = None
    """Bytes that weights, inputs and outputs of a task may take together."""
    bandwidth: int | None = None
    """Of the link to it, bytes in a second, each way."""
    latency: float = 0.0
    """Of the link, a message [s]."""
    fail: int | None = None
    """Every so many tasks end in an error."""
    hang: int | None = None
    """Every so many tasks never end."""
    die: int | None = None
    """Every so many tasks end their process."""
    shape: int | None = None
    """Every so many tasks answer with another shape."""
    oom: int | None = None
    """Every so many tasks do not fit into memory."""


def parse_fake(text: str) -> Fake:
    """Properties as `speed=0.5+memory=2GiB+bandwidth=1GB+latency=0.002+fail=7`; none at all are fine.

    Raises:
        InputError: an unknown property, or a value that it cannot have.
    """
    found: dict[str, float | int] = {}
    for item in filter(None, text.split("+")):
        name, _, value = item.partition("=")
        if name not in _READERS:
            raise InputError(f"fake device, `{name}`", "is no property", expected=", ".join(_READERS))
        try:
            found[name] = _READERS[name](value)
        except ValueError:
            raise InputError(f"fake device, `{name}`", "is no number", got=value) from None
    made = replace(Fake(), **found)
    if not 0 < made.speed <= 1:
        raise InputError("fake device, `speed`", "must be above 0 and at most 1", got=made.speed, hint="time=0.01")
    if wrong := [name for name, value in found.items() if not 0 <= value < float("inf")]:
        raise InputError(f"fake device, `{wrong[0]}`", "must be 0 or more", got=found[wrong[0]])
    if wrong := [name for name in _FAULTS if found.get(name) == 0]:
        raise InputError(f"fake device, `{wrong[0]}`", "counts tasks from 1", got=0)
    return made


class FakeEngine:
    """An engine on a device that is not there."""

    def __init__(self, inner: Engine, fake: Fake) -> None:
        self._inner, self._fake = inner, fake
        self._settings = replace(inner.settings, fake=_described(fake))

    @property
    def settings(self) -> EngineSettings:
        return self._settings

    def load(self, segment: Segment) -> LoadedSegment:
        weights = sum(value.nbytes for value in segment.weights.values())
        _refuse_size(self._fake, segment.name, weights)
        return _FakeSegment(self._inner.load(segment), self._fake, segment.name, weights)


class _FakeSegment:
    def __init__(self, inner: LoadedSegment, fake: Fake, name: str, weight_bytes: int) -> None:
        self._inner, self._fake, self._name, self._weights = inner, fake, name, weight_bytes
        self._tasks = 0

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        self._tasks += 1
        self._fault_before()
        self._cross(inputs)
        start = time.monotonic()
        outputs = self._inner.run(inputs, sizes, observe)
        took = time.monotonic() - start
        taken = sum(value.nbytes for value in (*inputs.values(), *outputs.values()))
        _refuse_size(self._fake, self._name, self._weights + taken)
        time.sleep(max(took / self._fake.speed, self._fake.time) - took)
        self._cross(outputs)
        if self._is_due(self._fake.shape):
            return {name: np.zeros((*value.shape, 2), value.dtype) for name, value in outputs.items()}
        return outputs

    def _fault_before(self) -> None:
        if self._is_due(self._fake.die):
            os._exit(_DEATH)
        while self._is_due(self._fake.hang):
            time.sleep(1)
        if self._is_due(self._fake.oom):
            raise EngineMemoryError(self._name, "the fake device pretends that its memory is full")
        if self._is_due(self._fake.fail):
            raise EngineError(self._name, "the fake device fails as it was told to")

    def _cross(self, values: Mapping[str, np.ndarray]) -> None:
        """Wait as long as a link would take."""
        size = sum(value.nbytes for value in values.values())
        time.sleep(self._fake.latency + (size / self._fake.bandwidth if self._fake.bandwidth else 0.0))

    def _is_due(self, every: int | None) -> bool:
        return every is not None and self._tasks % every == 0


def _refuse_size(fake: Fake, name: str, size: int) -> None:
    if fake.memory is not None and size > fake.memory:
        limit, got = format_bytes(fake.memory), format_bytes(size)
        raise EngineMemoryError(name, "does not fit into the fake device", expected=f"≤ {limit}", got=got)


def _described(fake: Fake) -> str:
    """What differs from the real one, in the words of `parse_fake`."""
    plain = Fake()
    pairs = [(field.name, getattr(fake, field.name)) for field in fields(Fake)]
    return "+".join(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
                    for name, value in pairs if value != getattr(plain, name)) or "as the real one"  # fmt: skip


_FAULTS = ("fail", "hang", "die", "shape", "oom")
_READERS: dict[str, Callable[[str], float | int]] = {
    "speed": float,
    "time": float,
    "memory": parse_bytes,
    "bandwidth": parse_bytes,
    "latency": float,
    **dict.fromkeys(_FAULTS, int),
}
