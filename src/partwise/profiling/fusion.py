"""Fusion: which nodes run as one kernel, and how much memory traffic that saves.

Every rule set answers with a partition of the nodes into units whose quotient is acyclic, so that the units can
run one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from partwise.ir import Graph
from partwise.profiling.fusion_bundles import with_attention, with_epilogues
from partwise.profiling.fusion_flow import Flow, Unit
from partwise.profiling.fusion_optimal import optimal_groups
from partwise.profiling.fusion_order import in_order
from partwise.profiling.fusion_patterns import pattern_groups
from partwise.profiling.fusion_source import source_unfused_bytes, source_unit, source_units
from partwise.profiling.fusion_steps import Step, steps
from partwise.profiling.profile import Profile

__all__ = ["FAST_MEMORY_BYTES", "Fusion", "Rules", "fuse"]

FAST_MEMORY_BYTES = 256 * 1024
"""Source: the scratchpad of a tile in seed 004; an SM of an H100 has 228 KiB (NVIDIA H100 whitepaper, 2022)."""


class Rules(StrEnum):
    """How nodes are grouped."""

    NONE = "none"
    """Every node alone."""
    SOURCE = "source"
    """The source document's pairs and its way of counting."""
    PATTERNS = "patterns"
    """Greedy: known patterns, boundaries at forks, joins and resource limits."""
    OPTIMAL = "optimal"
    """The least traffic under the same limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """A graph's nodes as units."""

    rules: Rules
    fast_memory_bytes: int | None
    units: tuple[Unit, ...] = field(repr=False)
    """In an order in which they can run."""
    unfused_bytes: int
    """Traffic of the same graph with every node alone."""
    unfused_activation_bytes: int
    """The same without weights."""
    bound_bytes: int
    """No fusion that keeps the limits has less traffic."""

    @property
    def traffic_bytes(self) -> int:
        """Bytes read and written, weights included."""
        return _traffic(self.units)

    @property
    def activation_bytes(self) -> int:
        """Bytes read and written, weights left out."""
        return sum(unit.activation_bytes for unit in self.units)

    @property
    def saved(self) -> float:
        """Share of the unfused traffic that is gone, weights included."""
        return 1 - self.traffic_bytes / self.unfused_bytes if self.unfused_bytes else 0.0

    @property
    def activation_saved(self) -> float:
        """Share of the unfused activation traffic that is gone."""
        unfused = self.unfused_activation_bytes
        return 1 - self.activation_bytes / unfused if unfused else 0.0

    @property
    def gap(self) -> float:
        """How far the traffic is above the bound, as a share of the bound."""
        return (self.traffic_bytes - self.bound_bytes) / self.bound_bytes if self.bound_bytes else 0.0


def fuse(
    graph: Graph,
    profile: Profile,
    *,
    rules: Rules = Rules.OPTIMAL,
    fast_memory_bytes: int | None = FAST_MEMORY_BYTES,
) -> Fusion:
    """Group a graph's nodes into units.

    Args:
        graph: a captured graph.
        profile: its profile; the sizes are taken from it.
        rules: how to group.
        fast_memory_bytes: on-chip memory that a unit may use for what passes between its nodes; None: no limit.
    """
    flow = Flow(graph, profile)
    if rules is Rules.SOURCE:
        return _source(flow)
    alone = flow.alone()
    units, bound = (alone, flow.compulsory_bytes()) if rules is Rules.NONE else _grouped(flow, rules, fast_memory_bytes)
    return Fusion(
        rules=rules,
        fast_memory_bytes=fast_memory_bytes,
        units=units,
        unfused_bytes=_traffic(alone),
        unfused_activation_bytes=sum(unit.activation_bytes for unit in alone),
        bound_bytes=bound,
    )


def _source(flow: Flow) -> Fusion:
    units = tuple(source_unit(flow, nodes) for nodes in source_units(flow))
    unfused = source_unfused_bytes(flow, units)
    weights = sum(unit.weight_bytes for unit in units)
    return Fusion(
        rules=Rules.SOURCE,
        fast_memory_bytes=None,
        units=units,
        unfused_bytes=unfused,
        unfused_activation_bytes=unfused - weights,
        bound_bytes=flow.compulsory_bytes(),
    )


def _grouped(flow: Flow, rules: Rules, limit: int | None) -> tuple[tuple[Unit, ...], int]:
    """Units in an order in which they can run, and a bound of their traffic."""
    found = with_attention(flow, steps(flow))
    groups = in_order(flow, _nodes(found, pattern_groups(flow, found, limit)))
    patterns = tuple(map(flow.unit, groups))
    if rules is Rules.PATTERNS:
        return patterns, flow.compulsory_bytes()
    bundles = with_epilogues(flow, found)
    solution = optimal_groups(flow, bundles, limit, groups)
    best = tuple(map(flow.unit, in_order(flow, _nodes(bundles, solution.groups))))
    return min(best, patterns, key=_traffic), solution.bound_bytes


def _traffic(units: Iterable[Unit]) -> int:
    return sum(unit.traffic_bytes for unit in units)


def _nodes(found: Mapping[int, Step], groups: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
    return [tuple(index for place in group for index in found[place].all_nodes) for group in groups]
