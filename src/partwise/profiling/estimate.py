"""Latency, energy and utilization of a graph on a device: a row a group of nodes that run as one kernel.

A group takes the longer of its arithmetic and its memory traffic, and a launch (the roofline: Williams et al., CACM
52(4), 2009). Arithmetic runs at the share of the peak that its products can fill (`hardware.map_product`), traffic at
the share of the bandwidth that copies reach; what the cache holds comes from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import fsum
from operator import attrgetter
from typing import Protocol

from partwise.errors import DeviceError
from partwise.hardware import (
    Device,
    Mapping,
    Product,
    arithmetic_share,
    assumed,
    idle_watts,
    joules_per_byte,
    joules_per_flop,
    launch_seconds,
    map_product,
    memory_share,
)
from partwise.ir import DType, Kind
from partwise.profiling.cost import Bound, Cost
from partwise.profiling.profile import Profile
from partwise.profiling.vector_work import layout_bytes, packing_bytes, reread_bytes, vector_flops, vector_share

__all__ = ["Estimate", "Group", "GroupEstimate", "estimate", "node_groups", "node_rows"]

CACHE_SPEED = 3.0
"""Bandwidth of a shared last-level cache against that of the memory. Source: 2.2 TB/s against 0.75 on V100 is 2.9
(Jia et al., arXiv 1804.06826); 7.2 TB/s, 5120 bytes a clock, against 1.555 on A100 would be 4.6 (NVIDIA, A100
Architecture whitepaper, 2020)."""
_SEVERAL = {Kind.MATMUL: "batched", Kind.CONV: "grouped"}
"""What a kind is called where it is several products at once."""
CACHE_SHARE = 0.5
"""Of the cache that a value may take and still be there when it is read; assumed: it is not alone in it."""


class Group(Protocol):
    """Nodes that run as one kernel; a `Fusion`'s units are such, and `node_groups` makes them of single nodes."""

    @property
    def nodes(self) -> tuple[int, ...]:
        """Indices."""
        ...

    @property
    def input_bytes(self) -> int:
        """Activations read from memory."""
        ...

    @property
    def output_bytes(self) -> int:
        """Activations written to memory."""
        ...

    @property
    def weight_bytes(self) -> int:
        """Weights read, and K/V buffers, which rest in memory as they do."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Single:
    nodes: tuple[int, ...]
    input_bytes: int
    output_bytes: int
    weight_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEstimate:
    """One group on the device."""

    nodes: tuple[int, ...]
    flops: int
    traffic_bytes: int
    compute_s: float
    memory_s: float
    seconds: float
    """The longer of the two, what is laid out anew, and the launch."""
    joules: float | None
    """None where the device states no power."""
    bound: Bound
    mappings: tuple[Mapping, ...]
    """Of its products."""
    busy: float
    """Share of the units that work while it runs, weighted by the time of its products; 1 without products."""

    @property
    def tiles(self) -> int:
        """Of all its products."""
        return sum(mapping.tiles for mapping in self.mappings)

    @property
    def waves(self) -> int:
        """Of all its products."""
        return sum(mapping.waves for mapping in self.mappings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A graph on a device."""

    device: str
    sizes: dict[str, int]
    groups: tuple[GroupEstimate, ...] = field(repr=False)
    seconds: float
    joules: float | None
    flops: int
    traffic_bytes: int
    peak_bytes: int
    """Memory that the graph needs at once."""
    fits: bool | None
    """Whether the device has so much; None where it does not say."""
    notes: tuple[str, ...]
    """What was replaced or is not known."""
    assumed: tuple[str, ...] = ()
    """What it stands on that nobody measured or published."""

    @property
    def busy(self) -> float:
        """Share of the units that work, weighted by time."""
        return fsum(group.busy * group.seconds for group in self.groups) / self.seconds if self.seconds else 0.0

    @property
    def flops_per_s(self) -> float:
        """Arithmetic rate that is reached."""
        return self.flops / self.seconds if self.seconds else 0.0

    def usd_per_1000(self, price_usd_per_hour: float) -> float:
        """Price of a thousand runs, one after the other, at a price of the device's hour [$]."""
        return 1000 * self.seconds * price_usd_per_hour / 3600


def node_groups(profile: Profile) -> tuple[Group, ...]:
    """Every node that does something, alone."""
    return tuple(_alone(cost) for cost in profile.nodes if cost.macs or cost.traffic_bytes)


def estimate(profile: Profile, device: Device, groups: Iterable[Group] | None = None) -> Estimate:
    """What a graph takes on a device.

    Args:
        profile: counts at given sizes.
        device: where it runs.
        groups: nodes that run as one kernel, in their order; each alone by default.

    A figure that the device does not state is named in the notes, with what was done instead.
    """
    wanted = node_groups(profile) if groups is None else tuple(groups)
    rules = _Rules(profile, device)
    rows = tuple(rules.group(group) for group in wanted)
    return Estimate(
        device=device.name,
        sizes=profile.sizes,
        groups=rows,
        seconds=fsum(row.seconds for row in rows),
        joules=None if rules.power is None else fsum(row.joules or 0.0 for row in rows),
        flops=profile.flops,
        traffic_bytes=sum(row.traffic_bytes for row in rows),
        peak_bytes=profile.peak_bytes,
        fits=None if device.memory_bytes is None else profile.peak_bytes <= device.memory_bytes,
        notes=rules.notes(),
        assumed=_assumed(device),
    )


def _assumed(device: Device) -> tuple[str, ...]:
    cached = (f"{CACHE_SHARE:.0%} of the cache is left for a value between two operations",)
    return (*assumed(device), *(cached if device.cache_bytes else ()))


def node_rows(profile: Profile, device: Device) -> tuple[list[GroupEstimate | None], tuple[str, ...]]:
    """The row of each node run alone, None for one that does nothing; and what is not known.

    Nodes with equal counts share a row, which names the first of them.
    """
    rules, known = _Rules(profile, device), dict[object, GroupEstimate | None]()
    found: list[GroupEstimate | None] = []
    for cost in profile.nodes:
        counts = _counts_of(cost)
        if counts not in known:
            known[counts] = rules.group(_alone(cost)) if cost.macs or cost.traffic_bytes else None
        found.append(known[counts])
    return found, rules.notes()


_counts_of = attrgetter(
    *"op kind macs input_bytes output_bytes weight_bytes state_bytes dtype products parallelism row_elements".split()
)
"""What a node's row depends on."""


def _alone(cost: Cost) -> Group:
    return _Single(
        nodes=(cost.node,),
        input_bytes=cost.input_bytes,
        output_bytes=cost.output_bytes,
        weight_bytes=cost.weight_bytes + cost.state_bytes,
    )


class _Rules:
    """A device's figures, looked up once."""

    def __init__(self, profile: Profile, device: Device) -> None:
        self._profile, self._device = profile, device
        self._bytes_per_s = device.memory_bytes_per_s * memory_share(device)
        self._cache = CACHE_SHARE * (device.cache_bytes or 0)
        self._all_cached = profile.peak_bytes <= self._cache
        self._vector_rate = device.vector_flops_per_s or device.flops_per_s
        self._idle, self._per_byte = idle_watts(device), joules_per_byte(device)
        self._rates = {dtype: device.peak(dtype) for dtype in dict.fromkeys(cost.dtype for cost in profile.nodes)}
        self._not_known: dict[str, None] = {}
        self.power = self._power()

    def notes(self) -> tuple[str, ...]:
        """What was replaced, and what is not known."""
        used = {cost.dtype for cost in self._profile.nodes if cost.macs}
        found = [self._rates[dtype].note for dtype in sorted(used) if self._rates[dtype].note]
        return (*found, *self._not_known)

    def group(self, group: Group) -> GroupEstimate:
        """A group's row."""
        costs = [self._profile.nodes[index] for index in group.nodes]
        flops = sum(cost.flops for cost in costs)
        traffic = group.input_bytes + group.output_bytes + group.weight_bytes
        mapped = [pair for cost in costs for pair in self._products(cost)]
        compute = fsum(seconds for _, seconds in mapped) + fsum(self._pass_seconds(cost) for cost in costs)
        memory = self._memory_seconds(group) + sum(reread_bytes(c, self._device) for c in costs) / self._bytes_per_s
        launch = max(launch_seconds(self._device, cost.kind) for cost in costs)
        seconds = max(compute, memory) + fsum(self._layout_seconds(cost) for cost in costs) + launch
        weight = fsum(seconds for _, seconds in mapped)
        joules = None
        if self.power is not None:
            joules = fsum(cost.flops * self.power[cost.dtype] for cost in costs if cost.flops)
            joules += traffic * self._per_byte + seconds * self._idle
        return GroupEstimate(
            nodes=group.nodes,
            flops=flops,
            traffic_bytes=traffic,
            compute_s=compute,
            memory_s=memory,
            seconds=seconds,
            joules=joules,
            bound=Bound.COMPUTE if compute > memory else Bound.MEMORY,
            mappings=tuple(mapping for mapping, _ in mapped),
            busy=fsum(m.busy * s for m, s in mapped) / weight if weight else 1.0,
        )

    def _pass_seconds(self, cost: Cost) -> float:
        """Arithmetic that is no contraction."""
        return vector_flops(cost) / (self._vector_rate * vector_share(cost, self._device.efficiency))

    def _layout_seconds(self, cost: Cost) -> float:
        """What a convolution lays out before it starts and when it is done, where a share says that it does."""
        share, rate = self._device.efficiency.get("layout"), self._device.memory_bytes_per_s
        if not share:
            return 0.0
        packing = self._device.efficiency.get("packing", share)
        return layout_bytes(cost) / (rate * share) + packing_bytes(cost) / (rate * packing)

    def _products(self, cost: Cost) -> list[tuple[Mapping, float]]:
        """Each product of a node on the units, and its seconds."""
        peak, found = self._rates[cost.dtype].flops_per_s, list[tuple[Mapping, float]]()
        for product in cost.products:
            share = arithmetic_share(
                self._device, _SEVERAL.get(cost.kind, cost.kind) if product.batch > 1 else cost.kind
            )
            mapping = self._mapped(product, DType(cost.dtype).bits / 8)
            rate = min(peak, self._vector_rate) if mapping.vector else peak
            found.append((mapping, 2 * product.macs / (rate * share * mapping.utilization)))
        return found

    def _mapped(self, product: Product, element_bytes: float) -> Mapping:
        """The product on the units; on the whole device at its peak, with a note, where a figure is missing."""
        try:
            return map_product(self._device, product, element_bytes)
        except DeviceError as error:
            self._not_known[f"no mapping: {self._device.name} {error.what}"] = None
            whole = product.rows, product.columns
            return Mapping(tile=whole, tiles=1, waves=1, units=1, padding=1.0, pipeline=1.0)

    def _memory_seconds(self, group: Group) -> float:
        """Activations that the cache can hold come from it, and the weights too where the whole model fits."""
        activations = group.input_bytes + group.output_bytes
        cached = activations if activations <= self._cache else 0
        cached += group.weight_bytes if self._all_cached else 0
        rest = activations + group.weight_bytes - cached
        return (rest + cached / CACHE_SPEED) / self._bytes_per_s

    def _power(self) -> dict[str, float] | None:
        """Joules of a FLOP by type; None where the device states no power."""
        try:
            return {dtype: joules_per_flop(self._device, dtype) for dtype in self._rates}
        except DeviceError as error:
            self._not_known[f"no energy: {self._device.name} {error.what}"] = None
            return None
