"""Seconds and joules of each node on a device, each node run alone."""

from __future__ import annotations

from dataclasses import dataclass

from partwise.errors import DeviceError
from partwise.hardware import Device
from partwise.profiling.estimate import node_rows
from partwise.profiling.profile import Profile

__all__ = ["NodeRates", "node_joules", "node_rates", "node_seconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRates:
    """What each node takes, run alone; nothing for a view."""

    seconds: tuple[float, ...]
    """Its launch included."""
    joules: tuple[float, ...] | None
    """Of its FLOPs, its bytes and the idle power during its time; None where the device states no power."""
    notes: tuple[str, ...]
    """What is not known."""


def node_rates(profile: Profile, device: Device) -> NodeRates:
    """Time and energy of each node."""
    rows, notes = node_rows(profile, device)
    joules = [0.0 if row is None else row.joules for row in rows]
    known = tuple(amount for amount in joules if amount is not None)
    return NodeRates(
        seconds=tuple(0.0 if row is None else row.seconds for row in rows),
        joules=known if len(known) == len(joules) else None,
        notes=notes,
    )


def node_seconds(profile: Profile, device: Device) -> tuple[float, ...]:
    """Time of each node run alone, its launch included; nothing for a view [s]."""
    return node_rates(profile, device).seconds


def node_joules(profile: Profile, device: Device) -> tuple[float, ...]:
    """Energy of each node run alone: its FLOPs, its bytes and the idle power during its time [J].

    Raises:
        DeviceError: the device states no figure that energy could be derived from.
    """
    found = node_rates(profile, device)
    if found.joules is None:
        raise DeviceError(f"device `{device.name}`", "; ".join(found.notes))
    return found.joules
