"""What share of a device's stated rates its libraries reach, before tiles, waves and padding are counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from partwise.hardware.device import Device, DeviceKind

__all__ = ["arithmetic_share", "assumed_shares", "memory_share"]

MEMORY_SHARE: Mapping[str, float] = {"hbm": 0.83, "gddr": 0.76, "ddr": 0.8, "lpddr": 0.8}
"""Of the stated bandwidth, by the kind of memory. hbm: 750 of 900 GB/s on V100, Jia et al., "Dissecting the NVIDIA
Volta GPU Architecture via Microbenchmarking", arXiv 1804.06826. gddr: the mean of 220 of 320 GB/s on T4 and 162 of
192 GB/s on P4, Jia et al., "Dissecting the NVidia Turing T4 GPU via Microbenchmarking", arXiv 1903.07486.
ddr, lpddr: assumed; STREAM (McCalpin, 1995) gives 0.75 to 0.9 on servers."""
SOURCED_MEMORY = ("hbm", "gddr")
"""Types that begin so; the others' shares are assumed."""
OTHER_MEMORY_SHARE = 0.8
"""Where the kind of memory is not stated; assumed."""

ARITHMETIC_SHARE = {
    DeviceKind.GPU: 0.9,
    DeviceKind.CPU: 0.8,
    DeviceKind.TPU: 0.9,
    DeviceKind.NPU: 0.7,
    DeviceKind.KPU: 0.9,
}
"""Of the stated peak in a large matrix product; assumed. A boost clock gives way under full load."""


def memory_share(device: Device) -> float:
    """Share of the stated bandwidth that copies reach."""
    if (measured := device.efficiency.get("memory")) is not None:
        return measured
    kinds = [kind for kind in MEMORY_SHARE if device.memory_type.startswith(kind)]
    return MEMORY_SHARE[max(kinds, key=len)] if kinds else OTHER_MEMORY_SHARE


def arithmetic_share(device: Device, kind: str) -> float:
    """Share of the stated peak that a contraction of a kind reaches when it fills the device.

    Args:
        device: whose own figure for this kind goes before its figure for `matmul`, and that before the default.
        kind: `matmul`, `batched` (a product whose both operands have a batch), `conv`, `grouped` (a convolution of
            several groups), `attention` or `experts`.
    """
    own = device.efficiency.get(kind, device.efficiency.get("matmul"))
    return ARITHMETIC_SHARE[device.kind] if own is None else own


def assumed_shares(device: Device) -> Iterator[str]:
    """Which shares of a device nobody measured or published, a line each."""
    if "matmul" not in device.efficiency:
        yield f"contractions reach {ARITHMETIC_SHARE[device.kind]:.0%} of the peak at most"
    if "memory" not in device.efficiency and not device.memory_type.startswith(SOURCED_MEMORY):
        yield f"copies reach {memory_share(device):.0%} of the bandwidth"
