"""What this machine is and allows: the kind of its processor, as far as memory layouts depend on it; open files."""

from __future__ import annotations

import contextlib
import platform
import resource
from functools import cache
from pathlib import Path

__all__ = ["allow_open_files", "machine_kind", "processor"]

_LAYOUT_FEATURES = ("avx512f", "avx2", "avx")
"""onnxruntime's blocked layout has 16 channels a block with the first, 8 with the others.
Source: MlasNchwcGetBlockSize of onnxruntime 1.31 (`mlas/lib/platform.cpp`)."""
_KERNEL_FEATURES = (
    "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16",
    "amx_int8", "asimddp", "bf16", "i8mm", "sve", "sve2",
)  # fmt: skip
"""By which the engines choose kernels, and with them the order in which sums are made. Source: the dispatch of oneDNN
(`cpu_isa_t`), and of torch 2.13 (`ATen/cpu/Utils.h`)."""
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


@cache
def processor() -> str:
    """For example `x86_64 AMD EPYC 9R14+avx2+fma`: on another one the same engine may give other bits."""
    features = _features()
    name = " ".join((platform.machine(), _line("model name"))).strip()
    return "+".join((name, *(feature for feature in _KERNEL_FEATURES if feature in features)))


def _features() -> frozenset[str]:
    """The processor's flags; none where the system does not list them, so such machines count as one kind."""
    return frozenset((_line("flags") or _line("Features")).split())


def _line(key: str) -> str:
    """The first line of a key in the system's list of processors; empty where there is none."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")
