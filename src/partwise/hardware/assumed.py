"""What a prediction takes for granted: figures of a device and constants of its kind without a published source."""

from __future__ import annotations

from partwise.hardware.device import Device
from partwise.hardware.efficiency import assumed_shares
from partwise.hardware.mapping import assumed_mapping
from partwise.hardware.power import assumed_power

__all__ = ["ASSUMED", "assumed"]

ASSUMED = "assumed"
"""What the source of such a figure begins with, in a hardware file."""


def assumed(device: Device) -> tuple[str, ...]:
    """What nobody measured or published of a device, a line each; `calibrate` and a file of one's own replace it."""
    stated = (
        f"{figure} of {device.name}"
        for source in device.sources
        if source.text.lower().startswith(ASSUMED)
        for figure in source.figures
    )
    return (*assumed_shares(device), *assumed_mapping(device), *assumed_power(device), *stated)
