"""What arithmetic, memory traffic and waiting take: time to launch and energy, where a device does not say.

Energy of a piece of work = FLOPs × joules a FLOP + bytes × joules a byte + idle power × time. The joules of a FLOP
are what is left of the design power at full memory traffic, spread over the peak: so no work can take more than
the design power for its roofline time.
"""

from __future__ import annotations

from collections.abc import Iterator

from partwise.errors import DeviceError
from partwise.hardware.device import Device, DeviceKind

__all__ = ["assumed_power", "idle_watts", "joules_per_byte", "joules_per_flop", "launch_seconds"]

LAUNCH_S = {
    DeviceKind.CPU: 5e-6,
    DeviceKind.GPU: 2e-6,
    DeviceKind.TPU: 1e-6,
    DeviceKind.KPU: 1e-6,
    DeviceKind.NPU: 1e-6,
}
"""From one operation to the next. GPU: 2 µs, between the 0.9 µs (3.8 µs a kernel of 2.9 µs) of launches made ahead
and the 6.7 µs of launches waited for in A. Gray, "Getting Started with CUDA Graphs", NVIDIA technical blog, 2019-09.
CPU: assumed, an operator's dispatch in an interpreter of graphs. Others: assumed, a step of a compiled program."""

IDLE_SHARE = 0.15
"""Of the design power while nothing runs; assumed. Jouppi et al. (ISCA 2023, table 4) have 90 of 192 W for TPU v4,
which its entry states."""

PICOJOULES_PER_BIT = {
    "hbm": 3.92,
    "gddr5": 14.0,
    "gddr6": 7.5,
    "gddr6x": 7.25,
    "gddr7": 7.25,
    "ddr": 20.3,
    "lpddr": 6.0,
}
"""hbm (HBM2; later ones assumed alike), gddr5: O'Connor et al., "Fine-Grained DRAM", MICRO 2017, table 1 and section 1.
gddr6, gddr6x: Micron, Ultra-Bandwidth Solutions, memory comparison, 2020. gddr7: assumed as gddr6x.
ddr: the lower end (1.3 nJ for 64 bits) of Horowitz, "Computing's Energy Problem", ISSCC 2014, figure 1.1.9.
lpddr: assumed."""
SOURCED_MEMORY = ("hbm2", "gddr5", "gddr6", "ddr")
"""Types that begin so; the others are assumed."""


def launch_seconds(device: Device, kind: str = "") -> float:
    """From one operation to the next [s].

    Args:
        device: whose own figure goes before the default of its kind.
        kind: `conv` for a convolution, which may have a figure of its own.
    """
    if kind == "conv" and device.conv_launch_s is not None:
        return device.conv_launch_s
    return LAUNCH_S[device.kind] if device.launch_s is None else device.launch_s


def idle_watts(device: Device) -> float:
    """Power that is drawn whatever runs [W]; 0 where nothing is known of the device's power."""
    if device.idle_w is not None:
        return device.idle_w
    return 0.0 if device.tdp_w is None else IDLE_SHARE * device.tdp_w


def joules_per_byte(device: Device) -> float:
    """Energy of a byte read or written in memory [J]; 0 where neither it nor the kind of memory is stated."""
    if device.joules_per_byte is not None:
        return device.joules_per_byte
    kind = _memory_kind(device)
    return PICOJOULES_PER_BIT[kind] * 8e-12 if kind else 0.0


def joules_per_flop(device: Device, dtype: str) -> float:
    """Energy of a floating-point operation on values of a type [J].

    Raises:
        DeviceError: the device states neither it nor a design power.
    """
    if device.joules_per_flop is not None:
        return device.joules_per_flop
    if device.tdp_w is None:
        what = "states neither `tdp_w` nor `joules_per_flop`, of which energy needs one"
        raise DeviceError(f"device `{device.name}`", what, hint="add one and its source to the device's entry.")
    left = device.tdp_w - idle_watts(device) - joules_per_byte(device) * device.memory_bytes_per_s
    return max(left, 0.0) / device.peak(dtype).flops_per_s


def assumed_power(device: Device) -> Iterator[str]:
    """Which times and energies of a device nobody measured or published, a line each."""
    if device.launch_s is None and device.kind is not DeviceKind.GPU:
        yield f"{LAUNCH_S[device.kind] * 1e6:.0f} µs from one operation to the next"
    if device.idle_w is None and device.tdp_w is not None:
        yield f"{IDLE_SHARE:.0%} of the design power are drawn whatever runs"
    kind = _memory_kind(device)
    is_sourced = not kind or device.memory_type.startswith(SOURCED_MEMORY)
    if device.joules_per_byte is None and not is_sourced:
        yield f"{PICOJOULES_PER_BIT[kind]:.3g} pJ a bit of {device.memory_type}"


def _memory_kind(device: Device) -> str:
    """The longest name of a kind of memory that the device's begins with; empty where none does."""
    kinds = [kind for kind in PICOJOULES_PER_BIT if device.memory_type.startswith(kind)]
    return max(kinds, key=len, default="")
