"""Seconds and joules of each node on a device, each node run alone."""

from __future__ import annotations

from partwise.errors import DeviceError
from partwise.hardware import Device
from partwise.profiling.estimate import estimate
from partwise.profiling.profile import Profile

__all__ = ["node_joules", "node_seconds"]


def node_seconds(profile: Profile, device: Device) -> tuple[float, ...]:
    """Time of each node run alone, its launch included; nothing for a view [s]."""
    found = {row.nodes[0]: row.seconds for row in estimate(profile, device).groups}
    return tuple(found.get(cost.node, 0.0) for cost in profile.nodes)


def node_joules(profile: Profile, device: Device) -> tuple[float, ...]:
    """Energy of each node run alone: its FLOPs, its bytes and the idle power during its time [J].

    Raises:
        DeviceError: the device states no figure that energy could be derived from.
    """
    made = estimate(profile, device)
    if made.joules is None:
        raise DeviceError(f"device `{device.name}`", "; ".join(made.notes))
    found = {row.nodes[0]: row.joules or 0.0 for row in made.groups}
    return tuple(found.get(cost.node, 0.0) for cost in profile.nodes)
