"""The pair that a plan without hardware is timed on."""

from __future__ import annotations

from partwise.hardware.catalog import find_device, find_link

__all__ = ["REFERENCE_DEVICE", "REFERENCE_LINK"]

REFERENCE_DEVICE = find_device("a100-pcie-40gb")
REFERENCE_LINK = find_link("pcie4-x16")
