"""What kind of processor this is, as far as an engine's memory layout depends on it."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

__all__ = ["machine_kind"]

_LAYOUT_FEATURES = ("avx512f", "avx2", "avx")
"""onnxruntime's blocked layout has 16 channels a block with the first, 8 with the others.
Source: MlasNchwcGetBlockSize of onnxruntime 1.31 (`mlas/lib/platform.cpp`)."""
_CPUINFO = Path("/proc/cpuinfo")


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
