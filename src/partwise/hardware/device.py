"""One device and one link, with a source for each figure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REFERENCE_DEVICE", "REFERENCE_LINK", "Device", "Link"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A processor with its memory."""

    name: str
    flops_per_s: float
    """Peak of dense matrix products in float32, counting a multiply-accumulate as 2."""
    half_flops_per_s: float
    """The same for the 16-bit types."""
    memory_bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A way for values between two devices."""

    name: str
    bytes_per_s: float
    latency_s: float


REFERENCE_DEVICE = Device(
    name="a100-pcie-40gb",
    flops_per_s=19.5e12,
    half_flops_per_s=312e12,
    memory_bytes_per_s=1555e9,
)
"""Source: NVIDIA A100 40GB PCIe datasheet, 2021 (FP32 without tensor cores; BF16 dense; HBM2)."""

REFERENCE_LINK = Link(name="pcie4-x16", bytes_per_s=31.5e9, latency_s=10e-6)
"""Source: PCI-SIG PCIe 4.0, 16 GT/s × 16 lanes × 128b/130b, one direction; latency assumed."""
