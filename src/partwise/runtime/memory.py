"""How much memory this process holds, and held at most since it was last asked.

Linux: `VmRSS` and `VmHWM` of `/proc/self/status`; writing 5 to `/proc/self/clear_refs` starts the peak anew
(proc(5)). Resident memory is counted in batches of pages, so a figure may be off by some hundred KiB, and
pages of weights count once they have been touched. Elsewhere nothing is measured, and None says so.
"""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

__all__ = ["ResidentMemory", "give_back", "resident", "restart_peak"]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

ResidentMemory = tuple[int | None, int | None]
"""Bytes now and at most; None where the system does not say."""


def resident() -> ResidentMemory:
    """Resident bytes of this process now, and its peak since `restart_peak`."""
    try:
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if line.startswith("Vm"))
    except OSError:
        return None, None
    return _bytes(lines.get("VmRSS")), _bytes(lines.get("VmHWM"))


def restart_peak() -> int | None:
    """Forget the peak; returns the resident bytes now."""
    try:
        _RESET.write_text("5")
    except OSError:
        return None
    return resident()[0]


def give_back() -> None:
    """Let the system have what was freed: glibc keeps up to 64 MiB of it otherwise (malloc_trim(3); mallopt(3),
    M_MMAP_THRESHOLD: twice 32 MiB). Another C library does nothing here."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _bytes(field: str | None) -> int | None:
    return int(field.split()[0]) * 1024 if field else None
