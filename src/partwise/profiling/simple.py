"""The source document's own formulas, kept to reproduce its tables; `estimate` is the one to trust.

    seconds = FLOPs ÷ peak × overhead × (1 + 0.05 (tiles − 1))
    joules  = (FLOPs × joules a FLOP + bytes × joules a byte) × (1 + 0.05 (tiles − 1))

Every FLOP runs at the peak and no byte takes time: a model is predicted as fast as arithmetic alone allows.
"""

from __future__ import annotations

from dataclasses import dataclass

from partwise.errors import DeviceError
from partwise.hardware import Device, DeviceKind, joules_per_byte, joules_per_flop
from partwise.ir import Graph, Kind
from partwise.profiling.cost import Bound
from partwise.profiling.estimate import Estimate, GroupEstimate
from partwise.profiling.profile import Profile

__all__ = ["SOURCE_DEVICES", "SourceDevice", "conv_tiles", "simple_estimate", "simple_seconds"]

TILE_COST = 0.05
"""Source: seed document 004, "Key Formulas"."""
OVERHEAD = {DeviceKind.CPU: 1.0}
OTHER_OVERHEAD = 0.6
"""`SchedulerOverhead`. The source gives no figures; these solve its throughput table and its ratios to the Ryzen: a CPU
takes FLOPs ÷ peak, every other device six tenths of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDevice:
    """A row of the source's hardware table."""

    name: str
    kind: DeviceKind
    flops_per_s: float
    joules_per_gflop: float


SOURCE_DEVICES = (
    SourceDevice(name="intel-i7", kind=DeviceKind.CPU, flops_per_s=1.5e12, joules_per_gflop=1.004),
    SourceDevice(name="ryzen7", kind=DeviceKind.CPU, flops_per_s=1.0e12, joules_per_gflop=1.004),
    SourceDevice(name="h100-pcie", kind=DeviceKind.GPU, flops_per_s=750e12, joules_per_gflop=0.501),
    SourceDevice(name="tpu-v4", kind=DeviceKind.TPU, flops_per_s=275e12, joules_per_gflop=0.2),
    SourceDevice(name="kpu-t2", kind=DeviceKind.KPU, flops_per_s=2e12, joules_per_gflop=0.1),
    SourceDevice(name="kpu-t100", kind=DeviceKind.KPU, flops_per_s=100e12, joules_per_gflop=0.1),
)
"""Source: seed document 004, "Architecture Profiles", 2025-10."""


def simple_seconds(flops: float, flops_per_s: float, kind: DeviceKind, tiles: int = 1) -> float:
    """The source's latency [s].

    Args:
        flops: of the model.
        flops_per_s: peak of the device.
        kind: of the device, for its overhead.
        tiles: pieces that the work is divided in.
    """
    return flops / flops_per_s * OVERHEAD.get(kind, OTHER_OVERHEAD) * (1 + TILE_COST * (tiles - 1))


def conv_tiles(graph: Graph, profile: Profile) -> int:
    """What the source calls tiles: the convolutions on the longest way through the graph, at least 1.

    This gives its 17, 33 and 49 for ResNet-18, 34 and 50, whose shortcuts lie beside that way.
    """
    depth: dict[str, int] = {}
    for node, cost in zip(graph.nodes, profile.nodes, strict=True):
        before = max((depth.get(name, 0) for name in node.inputs), default=0)
        depth.update(dict.fromkeys(node.outputs, before + (cost.kind is Kind.CONV)))
    return max([1, *depth.values()])


def simple_estimate(graph: Graph, profile: Profile, device: Device) -> Estimate:
    """A graph on a device by the source's formulas, as one group.

    Energy a FLOP and a byte are those of `hardware.power`, where the source's are not the device's own.
    """
    dtype = next((cost.dtype for cost in profile.nodes if cost.macs), "float32")
    peak, tiles = device.peak(dtype), conv_tiles(graph, profile)
    seconds = simple_seconds(profile.flops, peak.flops_per_s, device.kind, tiles)
    notes = [peak.note] if peak.note else []
    try:
        arithmetic = profile.flops * joules_per_flop(device, dtype)
        joules = (arithmetic + profile.traffic_bytes * joules_per_byte(device)) * (1 + TILE_COST * (tiles - 1))
    except DeviceError as error:
        joules = None
        notes.append(f"no energy: {device.name} {error.what}")
    group = GroupEstimate(
        nodes=tuple(cost.node for cost in profile.nodes if cost.macs or cost.traffic_bytes),
        flops=profile.flops,
        traffic_bytes=profile.traffic_bytes,
        compute_s=seconds,
        memory_s=0.0,
        seconds=seconds,
        joules=joules,
        bound=Bound.COMPUTE,
        mappings=(),
        busy=1.0,
    )
    return Estimate(
        device=device.name,
        sizes=profile.sizes,
        groups=(group,),
        seconds=seconds,
        joules=joules,
        flops=profile.flops,
        traffic_bytes=profile.traffic_bytes,
        peak_bytes=profile.peak_bytes,
        fits=None if device.memory_bytes is None else profile.peak_bytes <= device.memory_bytes,
        notes=(f"the source's simple formulas, {tiles} tiles: memory takes no time", *notes),
    )
