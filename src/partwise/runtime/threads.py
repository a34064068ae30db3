"""How many threads an engine uses unless told otherwise: the same for every executor, so the same bits."""

from __future__ import annotations

import os

import psutil

__all__ = ["default_threads"]


def default_threads() -> int:
    """The physical cores that this process may use.

    It depends on the machine, not on the executor, the number of stages or the load; a run records it, and a
    verifier takes it from there. (With more stages than one at work, fewer threads each can be faster: `--threads`.)
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))
