"""Seconds and joules of each node on a device."""

from __future__ import annotations

from partwise.hardware import Device, idle_watts, joules_per_byte, joules_per_flop, launch_seconds
from partwise.profiling.cost import Cost
from partwise.profiling.profile import Profile

__all__ = ["node_joules", "node_seconds"]


def node_seconds(profile: Profile, device: Device) -> tuple[float, ...]:
    """Time of each node run alone: the roofline and a launch; nothing for a view [s]."""
    launch = launch_seconds(device)
    return tuple(cost.seconds(device) + launch if _runs(cost) else 0.0 for cost in profile.nodes)


def node_joules(profile: Profile, device: Device) -> tuple[float, ...]:
    """Energy of each node: its FLOPs, its bytes and the idle power during its time [J].

    Raises:
        DeviceError: the device states no figure that energy could be derived from.
    """
    per_byte, idle = joules_per_byte(device), idle_watts(device)
    rates = {cost.dtype: joules_per_flop(device, cost.dtype) for cost in profile.nodes}
    return tuple(
        cost.flops * rates[cost.dtype] + cost.traffic_bytes * per_byte + seconds * idle
        for cost, seconds in zip(profile.nodes, node_seconds(profile, device), strict=True)
    )


def _runs(cost: Cost) -> bool:
    return cost.macs > 0 or cost.traffic_bytes > 0
