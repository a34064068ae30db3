"""When a machine is too busy for more work: load, free memory, temperature; the queue is the server's own.

Pure but for `read_machine`: what was read goes in, the threshold that is passed comes out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from partwise.errors import InputError
from partwise.units import format_bytes

__all__ = ["Gate", "Readings", "Thresholds", "passed", "read_machine"]

_FRESH_S = 0.5
"""How long a reading is good for: reading costs about 1 ms (assumed to be seldom enough)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What must not be passed; None where nothing is set."""

    load: float | None = None
    """Load average of the last minute, by processor."""
    memory_bytes: int | None = None
    """That must be free."""
    temperature_c: float | None = None
    """Of the hottest sensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What was read; None where it cannot be."""

    load: float | None
    memory_bytes: int | None
    temperature_c: float | None


def read_machine() -> Readings:
    """Load, free memory and temperature, now."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None
    return Readings(load=load, memory_bytes=psutil.virtual_memory().available, temperature_c=_hottest())


def passed(thresholds: Thresholds, readings: Readings) -> str | None:
    """The first threshold that is passed, in words; None where all is well."""
    limit, found = thresholds.load, readings.load
    if limit is not None and found is not None and found > limit:
        return f"load {found:.2f} a processor, threshold {limit:g}"
    least, free = thresholds.memory_bytes, readings.memory_bytes
    if least is not None and free is not None and free < least:
        return f"{format_bytes(free)} of memory free, threshold {format_bytes(least)}"
    most, hot = thresholds.temperature_c, readings.temperature_c
    if most is not None and hot is not None and hot > most:
        return f"{hot:.0f} °C, threshold {most:g} °C"
    return None


class Gate:
    """Thresholds over this machine, read again when the last reading is old."""

    def __init__(self, thresholds: Thresholds, read: Callable[[], Readings] = read_machine) -> None:
        """Raises:
        InputError: a threshold on something that cannot be read here.
        """
        self._thresholds, self._read = thresholds, read
        self._until_s, self._found = 0.0, None
        readings = read()
        if thresholds.temperature_c is not None and readings.temperature_c is None:
            raise InputError("thresholds.temperature", "this machine shows no temperature")
        if thresholds.load is not None and readings.load is None:
            raise InputError("thresholds.load", "this machine shows no load average")

    def passed(self) -> str | None:
        """As the function of this name."""
        now = time.monotonic()
        if now >= self._until_s:
            self._until_s, self._found = now + _FRESH_S, passed(self._thresholds, self._read())
        return self._found


def _hottest() -> float | None:
    known: Any = psutil
    read = getattr(known, "sensors_temperatures", dict[str, list[Any]])  # where the system has none
    sensors: dict[str, list[Any]] = read()
    found = [float(one.current) for group in sensors.values() for one in group if one.current is not None]
    return max(found, default=None)
