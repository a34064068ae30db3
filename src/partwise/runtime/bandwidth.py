"""Who can say what the memory bus carries here: resctrl, the uncore counters of perf, or our own account.

Sources: Linux, Documentation/arch/x86/resctrl.rst (`mbm_total_bytes`, bytes since the group was made, a counter each
L3 domain); Documentation/ABI/testing/sysfs-bus-event_source-devices (`type`, `events`, `.scale`, `.unit`) and
perf_event_open(2) for the integrated memory controllers. Neither exists in a virtual machine, where this was written:
their files are read in tests from folders made like the documents say, the counters themselves are unmeasured.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from partwise.errors import InputError
from partwise.runtime.governor import ACCOUNTED, Accounted, Chain, Provider

__all__ = ["PROVIDERS", "PerfUncore", "Resctrl", "make_chain"]

PROVIDERS = ("resctrl", "perf", ACCOUNTED)
_RESCTRL, _PMUS = Path("/sys/fs/resctrl"), Path("/sys/bus/event_source/devices")
_EVENTS = ("cas_count_read", "cas_count_write", "data_reads", "data_writes")
"""Of the memory controllers: servers' and laptops' names for the bytes read and written."""
_UNITS = {"MiB": 1 << 20, "MB": 1_000_000, "KiB": 1 << 10, "Bytes": 1}
_PERF_EVENT_OPEN = 298  # x86-64; syscall(2)
_ATTRIBUTE_BYTES = 64  # PERF_ATTR_SIZE_VER0
Counter = Callable[[], int]


class Rate:
    """A counter that only grows, as a rate between two readings."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None

    def read(self, now_s: float, total: float | None) -> float | None:
        """Per second since the last reading; None for the first, and where the counter began anew."""
        before, self._last = self._last, None if total is None else (now_s, total)
        if before is None or total is None or now_s <= before[0] or total < before[1]:
            return None
        return (total - before[1]) / (now_s - before[0])


class Resctrl:
    """Memory bandwidth monitoring of the whole machine."""

    name = "resctrl"

    def __init__(self, root: Path = _RESCTRL) -> None:
        self._files = sorted(root.glob("mon_data/mon_L3_*/mbm_total_bytes"))
        self._rate = Rate()

    def read(self, now_s: float) -> float | None:
        """See `Provider`."""
        try:
            total = sum(int(file.read_text()) for file in self._files) if self._files else None
        except (OSError, ValueError):  # "Unavailable" where the hardware has no counter to spare
            total = None
        return self._rate.read(now_s, total)


class PerfUncore:
    """Bytes that the memory controllers read and wrote."""

    name = "perf"

    def __init__(self, root: Path = _PMUS, start: Callable[[int, int], Counter] | None = None) -> None:
        """Args:
        root: where the performance monitoring units are.
        start: begins to count (type, config); by default perf_event_open(2) on processor 0 of the machine.
        """
        self._rate = Rate()
        self._counters: list[tuple[Counter, float]] | None = []
        for kind, config, scale in _events(root):
            try:
                self._counters.append(((start or _start)(kind, config), scale))
            except OSError:  # no right to count, as in most containers
                self._counters = None
                return

    def read(self, now_s: float) -> float | None:
        """See `Provider`."""
        if not self._counters:
            return None
        return self._rate.read(now_s, sum(counter() * scale for counter, scale in self._counters))


def make_chain(names: tuple[str, ...], accounted: Accounted) -> Chain:
    """The providers of these names, in their order.

    Raises:
        InputError: there is no such provider.
    """
    made: dict[str, Callable[[], Provider]] = {"resctrl": Resctrl, "perf": PerfUncore, ACCOUNTED: lambda: accounted}
    for name in names:
        if name not in made:
            raise InputError(f"bandwidth provider `{name}`", "is unknown", expected=", ".join(PROVIDERS))
    return Chain([made[name]() for name in names])


def _events(root: Path) -> Iterator[tuple[int, int, float]]:
    """(type, config, bytes a count) of each memory controller's events."""
    for unit in sorted(root.glob("uncore_imc*")):
        for event in _EVENTS:
            file = unit / "events" / event
            if file.is_file():
                scale, bytes_of = (unit / "events" / f"{event}{end}" for end in (".scale", ".unit"))
                factor = float(scale.read_text()) if scale.is_file() else 1.0
                unit_bytes = _UNITS.get(bytes_of.read_text().strip(), 1) if bytes_of.is_file() else 1
                yield int((unit / "type").read_text()), _config(unit, file.read_text()), factor * unit_bytes


def _config(unit: Path, event: str) -> int:
    """`event=0x04,umask=0x03` as the number that perf_event_open takes, by the unit's own format files."""
    config = 0
    for term in event.strip().split(","):
        name, _, value = term.partition("=")
        described = (unit / "format" / name).read_text().strip()
        first = re.match(r"config:(\d+)", described)
        if first is None:
            raise InputError(str(unit), f"`{name}` is not in its first config word", got=described)
        config |= int(value or "1", 0) << int(first[1])
    return config


def _start(kind: int, config: int) -> Counter:
    """Count an event of the whole machine; returns what reads it.

    Raises:
        OSError: the system refuses.
    """
    attribute = (ctypes.c_char * _ATTRIBUTE_BYTES)()
    ctypes.c_uint32.from_buffer(attribute, 0).value = kind
    ctypes.c_uint32.from_buffer(attribute, 4).value = _ATTRIBUTE_BYTES
    ctypes.c_uint64.from_buffer(attribute, 8).value = config
    call = ctypes.CDLL(None, use_errno=True).syscall
    descriptor = call(_PERF_EVENT_OPEN, ctypes.byref(attribute), -1, 0, -1, 0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return lambda: int.from_bytes(os.read(descriptor, 8), "little")
