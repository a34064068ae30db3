"""Whether this process keeps the memory that its operators free: a page that is asked for anew costs time each time.

glibc gives the top of its heap back as soon as more than 128 KiB of it are free, or twice its threshold for mappings,
which grows with what was freed (mallopt(3): M_TRIM_THRESHOLD, M_MMAP_THRESHOLD). An operator's result that dies
before the next one is made goes back and comes again, in thousands of page faults a request. A process that does
nothing but compute keeps it instead: its peak is the same, and it is held between requests.
"""

from __future__ import annotations

import ctypes
import os
from enum import StrEnum

__all__ = ["FreedMemory", "freed_memory", "keep_freed", "leave_freed"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt. Source: glibc's malloc.h."""
_NEVER = -1
"""Nothing at the top is ever trimmed (mallopt(3))."""
_LARGEST_THRESHOLD = 32 << 20
"""Larger blocks are mapped one by one, and given back. Source: mallopt(3), DEFAULT_MMAP_THRESHOLD_MAX on 64 bits."""
_USUAL_THRESHOLD = 128 << 10
"""Of both where nothing is set. Source: mallopt(3)."""
_CHOICES = ("MALLOC_", "GLIBC_TUNABLES")
"""Beginnings of the environment's variables that say how glibc allocates (mallopt(3), glibc's manual)."""


class FreedMemory(StrEnum):
    """What happens to memory that operators free."""

    KEPT = "kept"
    """It stays with the process, and the next operator has it."""
    LEFT = "left"
    """The system's library decides."""


def keep_freed() -> FreedMemory:
    """Make this process keep what it frees, where the C library is glibc and the environment says nothing of it."""
    if not any(name.startswith(_CHOICES) for name in os.environ):
        _set(FreedMemory.KEPT, _LARGEST_THRESHOLD, _NEVER)
    return _STATE["now"]


def leave_freed() -> None:
    """Give back what is freed after all: where weights come and go, they are what would be kept."""
    if freed_memory() is FreedMemory.KEPT:
        _set(FreedMemory.LEFT, _USUAL_THRESHOLD, _USUAL_THRESHOLD)


def freed_memory() -> FreedMemory:
    """What happens to it in this process."""
    return _STATE["now"]


def _set(wanted: FreedMemory, mapped: int, trimmed: int) -> None:
    library = ctypes.CDLL(None)
    thresholds = {_MMAP_THRESHOLD: mapped, _TRIM_THRESHOLD: trimmed}
    if hasattr(library, "gnu_get_libc_version") and all(library.mallopt(*each) == 1 for each in thresholds.items()):
        _STATE["now"] = wanted


_STATE = {"now": FreedMemory.LEFT}
