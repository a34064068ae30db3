"""What the nodes of a graph cost on the devices of a cluster, worked out once a device."""

from __future__ import annotations

from dataclasses import dataclass

from partwise.hardware import Cluster, Device
from partwise.ir import Graph
from partwise.planning.reserve import NOTHING, Kept, Reserve, kept_in
from partwise.profiling import Profile, node_joules, node_rates

__all__ = ["RateTable", "Rates"]


@dataclass(frozen=True, slots=True)
class Rates:
    """What nodes cost on one device."""

    seconds: tuple[float, ...]
    joules: tuple[float, ...] | None
    """None where the device states no power."""


class RateTable:
    """Rates of one profile on the devices of a cluster, worked out once a device."""

    def __init__(self, profile: Profile, cluster: Cluster, reserve: Reserve = NOTHING) -> None:
        self.profile, self.cluster, self.reserve = profile, cluster, reserve
        self._known: dict[str, Rates] = {}
        self._kept: Kept | None = None

    def on(self, cluster: Cluster) -> RateTable:
        """The same for another cluster; devices of the same name are the same ones."""
        found = RateTable(self.profile, cluster, self.reserve)
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

    def _rates(self, device: Device) -> Rates:
        found = node_rates(self.profile, device)
        return Rates(found.seconds, found.joules)  # without stated power the energy is unknown, not nothing
