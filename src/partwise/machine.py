"""What this machine is and allows: the kind of its processor, as far as memory layouts depend on it; open files."""

from __future__ import annotations

import contextlib
import platform
import resource
from functools import cache
from pathlib import Path

__all__ = ["allow_open_files", "machine_kind"]

_LAYOUT_FEATURES = ("avx512f", "avx2", "avx")
"""onnxruntime's blocked layout has 16 channels a block with the first, 8 with the others.
Source: MlasNchwcGetBlockSize of onnxruntime 1.31 (`mlas/lib/platform.cpp`)."""
_CPUINFO = Path("/proc/cpuinfo")


def allow_open_files() -> None:
    """Let this process open as many files as the system allows it: each slot of shared memory takes one."""
    with contextlib.suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@cache
def machine_kind() -> str:
    """For example `x86_64+avx512f`: machines of one kind read each other's layouts."""
    features = _features()
    found = next((name for name in _LAYOUT_FEATURES if name in features), None)
    return platform.machine() + (f"+{found}" if found else "")


def _features() -> frozenset[str]:
    """The processor's flags; none where the system does not list them, so such machines count as one kind."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "")
    return frozenset(flags.split())
