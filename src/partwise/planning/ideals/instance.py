"""A placement problem as arrays: what is divided, among which devices, and what a stage pays.

A stage is a set of units on one device. It pays for each unit it holds, once for each value that it receives or
sends, and once for each item that any of its units needs (a recomputed table, a tied weight). What it pays is
counted in *channels*: seconds on each type of device, and bytes for memory limits. One machinery answers all.
"""

from __future__ import annotations

from dataclasses import dataclass

from partwise.planning.arrays import Bits, Floats, Ints, Pairs

__all__ = ["Cap", "Channel", "Instance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One thing that stages pay, in one unit of measure; every amount is at least 0."""

    work: Floats
    """[units] For each unit held."""
    receive: Floats
    """[values] For each value that comes from another stage."""
    send: Floats
    """[values] For each value that goes to other stages, however many."""
    again: Floats
    """[items] For each item that a unit of the stage needs."""
    fixed: float = 0.0
    """Once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """A price that no stage may exceed."""

    load: tuple[Channel, ...]
    """[types]"""
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What is placed on what."""

    edges: Ints
    """[edges, 2] The first unit's stage comes no later than the second's."""
    maker: Ints
    """[values] The unit that makes a value."""
    readers: Pairs
    """Which units read which values."""
    needs: Pairs
    """Which units need which items."""
    counts: tuple[int, ...]
    """[types] Devices of each type; equal ones are one type."""
    load: tuple[Channel, ...]
    """[types] What is made small, on a device of each type; huge where a unit cannot run there."""
    adds: bool = False
    """Whether the loads of the stages are added up; else the largest one counts."""
    caps: tuple[Cap, ...] = ()
    """What else every stage keeps."""
    room: tuple[float, ...]
    """[types] Memory of a device; infinite where nothing limits it."""
    held: Channel
    """Bytes of weights that a stage holds: `work` and `again` only."""
    value_bytes: Floats
    """[values] Alive where a stage starts, if received; where it ends, if sent."""
    homes: tuple[int | None, ...] = ()
    """[types] A unit that only this device runs, and that is in the one stage it runs; None, or empty: any stage."""
    exactly: int | None = None
    """So many stages, none empty; None: as many as the devices allow, or fewer."""
    working: Floats
    """[units] Bytes of a unit's own inputs and outputs, alive at once in any stage that holds it."""
    is_simple: Bits
    """[units] Whether a unit is one node, so that nothing of other units ends while it runs."""
    nodes: Ints
    """[units, 2] The first and the last node of each unit: a stage runs its nodes in their order."""

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(self.held.work)

    def home(self, kind: int) -> int | None:
        """The unit that a device of a type is for."""
        return self.homes[kind] if self.homes else None
