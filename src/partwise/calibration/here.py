"""The processor of this machine, as the system describes it: an entry before anything is measured."""

from __future__ import annotations

import platform
import re
from datetime import date
from pathlib import Path

import psutil

from partwise.hardware import Device, DeviceKind, Source

__all__ = ["this_machine"]

_CPUINFO = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
FLOPS_A_CLOCK = (("avx512f", 64), ("avx2", 32), ("avx", 16), ("asimd", 16))
"""Float32 FLOPs of a core in a clock by instruction set: two multiply-add units of 16, 8 or 4 lanes; AVX has none that
is fused. Source: Intel, Optimization Reference Manual, 2023; Arm, Neoverse N1 Software Optimization Guide, 2019."""
LEAST_FLOPS_A_CLOCK = 8
"""SSE2, and where the system does not say."""
ASSUMED_CLOCK_HZ = 2.5e9
"""Where the system does not say."""
ASSUMED_BYTES_PER_S = 20e9
"""The system does not tell the memory's rate: about half of the peak of two channels of DDR4-2666."""


def this_machine(name: str = "here") -> Device:
    """The processor that this program may use: cores, vector units, clock, memory."""
    text = _CPUINFO.read_text() if _CPUINFO.is_file() else ""
    title = _field(text, "model name") or platform.processor() or platform.machine()
    flags = frozenset((_field(text, "flags") or _field(text, "Features")).split())
    each = next((flops for flag, flops in FLOPS_A_CLOCK if flag in flags), LEAST_FLOPS_A_CLOCK)
    cores, clock = _cores(), _clock(text)
    today = date.today().isoformat()
    stated = Source(figures=("*",), text="what the system tells: /proc/cpuinfo, /sys, psutil", date=today)
    peak = Source(
        figures=("peak_flops_per_s", "lanes"),
        text=f"{cores} cores × {each} FLOPs a clock (by instruction set) × {clock / 1e9:.2f} GHz",
        date=today,
    )
    memory = Source(figures=("memory_bytes_per_s",), text="assumed: the system does not tell", date=today)
    return Device(
        name=name,
        title=title,
        kind=DeviceKind.CPU,
        peak_flops_per_s={"float32": cores * each * clock},
        memory_bytes=psutil.virtual_memory().total,
        memory_bytes_per_s=ASSUMED_BYTES_PER_S,
        units=cores,
        lanes=each // 2,
        clock_hz=clock,
        cache_bytes=_last_cache(),
        sources=(stated, peak, memory),
    )


def _field(text: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _cores() -> int:
    """Cores that this process may run on."""
    process = psutil.Process()
    allowed = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count()
    return max(1, min(allowed or 1, psutil.cpu_count(logical=False) or allowed or 1))


def _clock(text: str) -> float:
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    if frequency is not None and frequency.max:
        return frequency.max * 1e6
    now = _field(text, "cpu MHz")
    return float(now) * 1e6 if now else ASSUMED_CLOCK_HZ


def _last_cache() -> int | None:
    """Bytes of the highest level that the system lists."""
    found: dict[int, int] = {}
    for index in sorted(_CACHES.glob("index*")):
        try:
            level, size = int((index / "level").read_text()), (index / "size").read_text().strip()
        except (OSError, ValueError):
            continue
        unit = {"K": 1 << 10, "M": 1 << 20}.get(size[-1:], 1)
        found[level] = int(size.rstrip("KM")) * unit
    return found[max(found)] if found else None
