"""Where nodes run fused: what each still takes, and what a cut inside a fused unit costs.

A unit takes less than its nodes alone, by what fusion saves: launches, and values that never reach memory. Its time is
shared out over its nodes as they take it alone. A stage that holds some of a unit without its first node pays a share
of what was saved, saved / (nodes − 1): nothing where the unit is whole, all of it where every node is apart. **Source**
of both times: `profiling.estimate` (roofline, mapping to tiles and waves, launches) of the unit and of each node; that
every cut costs the same share is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

from partwise.hardware import Device
from partwise.ir import Contraction
from partwise.profiling import NodeRates, Profile, Rules, Unit, estimate, fuse

__all__ = ["FusedRates", "fused_rates", "fused_units"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedRates:
    """What nodes take on one device where they run fused."""

    seconds: tuple[float, ...]
    """[nodes] Their share of their unit's time."""
    joules: tuple[float, ...] | None
    cut_seconds: tuple[float, ...]
    """[units] Paid by each stage that holds some of the unit without its first node."""
    cut_joules: tuple[float, ...] | None


def fused_units(contraction: Contraction, profile: Profile, rules: Rules) -> tuple[Unit, ...]:
    """The units of several nodes, all of which are placed: what is repeated in every stage runs alone there.

    Args:
        contraction: the graph seen through its placed nodes.
        profile: its costs at the sizes of interest.
        rules: how nodes are grouped.
    """
    if rules is Rules.NONE:
        return ()
    found = fuse(contraction.graph, profile, rules=rules).units
    return tuple(unit for unit in found if len(unit.nodes) > 1 and all(map(contraction.is_placed, unit.nodes)))


def fused_rates(profile: Profile, device: Device, alone: NodeRates, units: tuple[Unit, ...]) -> FusedRates:
    """Time and energy of each node and each cut on a device.

    Args:
        profile: costs of the graph.
        device: where it runs.
        alone: what each node takes alone.
        units: of several nodes.
    """
    rows = estimate(profile, device, units).groups
    seconds, cut_seconds = _shared(alone.seconds, units, [row.seconds for row in rows])
    if alone.joules is None:
        return FusedRates(seconds=seconds, joules=None, cut_seconds=cut_seconds, cut_joules=None)
    joules, cut_joules = _shared(alone.joules, units, [row.joules or 0.0 for row in rows])
    return FusedRates(seconds=seconds, joules=joules, cut_seconds=cut_seconds, cut_joules=cut_joules)


def _shared(
    alone: tuple[float, ...], units: tuple[Unit, ...], together: list[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What each node takes of its unit's amount, and what a cut of each unit costs; nothing is saved below 0."""
    nodes, cuts = list(alone), list[float]()
    for unit, amount in zip(units, together, strict=True):
        whole = fsum(alone[index] for index in unit.nodes)
        cuts.append(max(0.0, whole - amount) / (len(unit.nodes) - 1))
        if amount < whole:
            for index in unit.nodes:
                nodes[index] = alone[index] * (amount / whole)
    return tuple(nodes), tuple(cuts)
