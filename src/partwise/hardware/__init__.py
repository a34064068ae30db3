"""Devices and links: what the planner's times stand on.

In: nothing. Out: `Device`, `Link` and the reference pair that a plan without hardware is timed on.
Never: a measurement, a file of the user, a framework.
"""

from partwise.hardware.device import REFERENCE_DEVICE, REFERENCE_LINK, Device, Link

__all__ = ["REFERENCE_DEVICE", "REFERENCE_LINK", "Device", "Link"]
