"""What the nodes of a graph cost on the devices of a cluster, worked out once a device."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from partwise.hardware import Cluster, Device
from partwise.ir import Contraction, Graph
from partwise.planning.fused import fused_rates, fused_units
from partwise.planning.reserve import NOTHING, Kept, Reserve, kept_in
from partwise.profiling import Profile, Rules, Unit, node_joules, node_rates

__all__ = ["RateTable", "Rates", "rate_table"]


@dataclass(frozen=True, slots=True)
class Rates:
    """What nodes cost on one device."""

    seconds: tuple[float, ...]
    joules: tuple[float, ...] | None
    """None where the device states no power."""
    cut_seconds: tuple[float, ...] = ()
    """[fused units] Paid by each stage that holds some of a unit without its first node."""
    cut_joules: tuple[float, ...] | None = ()


class RateTable:
    """Rates of one profile on the devices of a cluster, worked out once a device.

    Attributes:
        units: nodes that run as one kernel where they share a stage.
    """

    def __init__(
        self,
        profile: Profile,
        cluster: Cluster,
        reserve: Reserve = NOTHING,
        units: tuple[Unit, ...] = (),
        rules: Rules = Rules.NONE,
    ) -> None:
        self.profile, self.cluster, self.reserve = profile, cluster, reserve
        self.units, self.rules = units, rules
        self._known: dict[str, Rates] = {}
        self._kept: Kept | None = None
        self._unit_of: dict[int, int] = {}

    def on(self, cluster: Cluster) -> RateTable:
        """The same for another cluster; devices of the same name are the same ones."""
        found = RateTable(self.profile, cluster, self.reserve, self.units, self.rules)
        found._known, found._kept = self._known, self._kept
        return found

    def kept(self, graph: Graph) -> Kept:
        """What stages of the profile's graph keep beside weights and activations."""
        if self._kept is None:
            self._kept = kept_in(graph, self.profile.sizes, self.reserve)
        return self._kept

    def of(self, name: str) -> Rates:
        """The rates on a member."""
        device = self.cluster.member(name).device
        if device.name not in self._known:
            self._known[device.name] = self._rates(device)
        return self._known[device.name]

    def joules(self, name: str) -> tuple[float, ...]:
        """Energy of each node on a member [J].

        Raises:
            DeviceError: it states no power.
        """
        return self.of(name).joules or node_joules(self.profile, self.cluster.member(name).device)

    def cuts(self, nodes: Collection[int]) -> list[int]:
        """The units that a set of nodes holds some of without their first node."""
        if not self.units:
            return []
        if not self._unit_of:
            self._unit_of.update({index: number for number, unit in enumerate(self.units) for index in unit.nodes})
        held = {self._unit_of[index] for index in nodes if index in self._unit_of}
        mine = set(nodes)
        return sorted(number for number in held if self.units[number].nodes[0] not in mine)

    def _rates(self, device: Device) -> Rates:
        found = node_rates(self.profile, device)
        if not self.units:
            return Rates(found.seconds, found.joules)  # without stated power the energy is unknown, not nothing
        fused = fused_rates(self.profile, device, found, self.units)
        return Rates(fused.seconds, fused.joules, fused.cut_seconds, fused.cut_joules)


def rate_table(
    contraction: Contraction,
    profile: Profile,
    cluster: Cluster,
    reserve: Reserve = NOTHING,
    rules: Rules = Rules.NONE,
) -> RateTable:
    """The rates of a graph's nodes.

    Args:
        contraction: the graph seen through its placed nodes.
        profile: its costs at the sizes of interest.
        cluster: the devices.
        reserve: what every stage's memory holds beside weights and activations.
        rules: which nodes run as one kernel.
    """
    return RateTable(profile, cluster, reserve, fused_units(contraction, profile, rules), rules)
