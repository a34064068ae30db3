"""How other runtimes number the devices of a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from partwise.hardware import Cluster, DeviceKind

__all__ = ["CPU", "numbers", "ranks"]

CPU = "cpu"


def numbers(cluster: Cluster, devices: Sequence[str]) -> list[int | str]:
    """For each stage `cpu`, or the number of its accelerator: its place among those of the cluster.

    Args:
        cluster: its members in their order; of an open one each stage has a device of its own.
        devices: for each stage the name of its member.
    """
    members = devices if cluster.is_open else [member.name for member in cluster.members]
    known: list[int | str] = []
    for name in members:
        is_cpu = cluster.member(name).device.kind is DeviceKind.CPU
        known.append(CPU if is_cpu else sum(other != CPU for other in known))
    return known if cluster.is_open else [known[members.index(name)] for name in devices]


def ranks(cluster: Cluster, devices: Sequence[str]) -> tuple[str, ...]:
    """A note that says which member each rank is, where they differ."""
    if cluster.is_open or cluster.is_uniform:
        return ()
    return (", ".join(f"rank {rank} is {name}" for rank, name in enumerate(devices)),)
