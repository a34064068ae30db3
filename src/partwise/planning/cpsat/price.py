"""What each device pays in a placement, counted from the instance's arrays with none of the solver's integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from partwise.planning.ideals import Channel, Instance

__all__ = ["Crossings", "loads", "value_of"]

Homes = Sequence[int]
"""[units] The device of each unit."""


@dataclass(frozen=True, slots=True)
class Crossings:
    """The members of values and items, by value and by item.

    Attributes:
        readers: [values] units that read a value, its maker left out.
        users: [items] units that need an item.
    """

    readers: tuple[tuple[int, ...], ...]
    users: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, instance: Instance) -> Crossings:
        """The members of an instance's values and items."""
        readers = [set[int]() for _ in instance.maker]
        for unit, value in zip(instance.readers.unit.tolist(), instance.readers.item.tolist(), strict=True):
            if unit != instance.maker[value]:
                readers[int(value)].add(unit)
        users = [set[int]() for _ in instance.held.again]
        for unit, item in zip(instance.needs.unit.tolist(), instance.needs.item.tolist(), strict=True):
            users[int(item)].add(unit)
        return cls(tuple(tuple(sorted(r)) for r in readers), tuple(tuple(sorted(u)) for u in users))


def loads(instance: Instance, crossings: Crossings, channels: Sequence[Channel], homes: Homes) -> list[float]:
    """[devices] What each device pays.

    Args:
        instance: what is placed.
        crossings: of the instance.
        channels: [devices] what is counted on each.
        homes: [units] where each unit is.
    """
    amounts: list[list[float]] = [[] for _ in channels]
    for unit, device in enumerate(homes):
        amounts[device].append(float(channels[device].work[unit]))
    for device in set(homes):
        amounts[device].append(channels[device].fixed)
    for value, readers in enumerate(crossings.readers):
        home = homes[int(instance.maker[value])]
        others = {homes[unit] for unit in readers} - {home}
        if others:
            amounts[home].append(float(channels[home].send[value]))
        for device in others:
            amounts[device].append(float(channels[device].receive[value]))
    for item, users in enumerate(crossings.users):
        for device in {homes[unit] for unit in users}:
            amounts[device].append(float(channels[device].again[item]))
    return [fsum(each) for each in amounts]


def value_of(instance: Instance, crossings: Crossings, kinds: Sequence[int], homes: Homes) -> float:
    """The objective: the largest load, or the sum of all."""
    found = loads(instance, crossings, [instance.load[kind] for kind in kinds], homes)
    return fsum(found) if instance.adds else float(np.max(found))
