"""Placement workloads in the public benchmark's format: costs of nodes and edges, and no model behind them.

Format and cost convention: msr-fiddle/dnn-partitioning (its README), the data of Tarnawski et al., "Efficient
Algorithms for Device Placement of DNN Graph Operators", NeurIPS 2020. A device's load is the compute of its nodes and,
on an accelerator, the transfer of every value that crosses into or out of it, each once; the value of a placement is
the largest load. Nodes of one colour share a device. A backward node runs after all forward nodes and mirrors their
order: its edges count backwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite

import msgspec

from partwise.errors import InputError

__all__ = ["Placement", "PlacementStage", "Workload", "parse_workload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    id: int
    cpuLatency: float
    fpgaLatency: float
    size: float = 0.0
    supportedOnFpga: bool | int = True
    isBackwardNode: bool | int = False
    colorClass: int | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edge:
    sourceId: int
    destId: int
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A file's content; the names are the format's."""

    maxFPGAs: int
    nodes: tuple[_Node, ...] = field(repr=False)
    edges: tuple[_Edge, ...] = field(repr=False)
    maxCPUs: int = 0
    maxSizePerFPGA: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementStage:
    """What one device does."""

    index: int
    device: str
    nodes: tuple[int, ...]
    """Ids of the file, ascending."""
    load: float
    size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Which device does what, and how good that can be at most."""

    workload: str
    value: float
    """The largest load, in the file's unit of time."""
    bound: float
    bound_plans: str
    gap: float | None
    solver: str
    stages: tuple[PlacementStage, ...]


_MOST_COST = 1e100
"""Sums of any number of nodes stay far below what a float holds."""


def parse_workload(data: object, subject: str) -> Workload:
    """The workload in plain JSON data from anywhere.

    Raises:
        InputError: another format, an edge without its node, two nodes of one id, a cost that is none.
    """
    try:
        found = msgspec.convert(data, Workload, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(
            subject, f"is no workload ({error})", expected="the format of msr-fiddle/dnn-partitioning"
        ) from None
    _check(found, subject)
    return found


def _check(workload: Workload, subject: str) -> None:
    ids = {node.id for node in workload.nodes}
    if not ids:
        raise InputError(subject, "has no node")
    if len(ids) < len(workload.nodes):
        raise InputError(subject, "two nodes have one id")
    for edge in workload.edges:
        for end in (edge.sourceId, edge.destId):
            if end not in ids:
                raise InputError(subject, f"edge {edge.sourceId} → {edge.destId} has no node {end}")
    amounts = [(f"node {n.id}", value) for n in workload.nodes for value in (n.cpuLatency, n.fpgaLatency, n.size)]
    amounts += [(f"edge {edge.sourceId} → {edge.destId}", edge.cost) for edge in workload.edges]
    for name, value in amounts:
        if not isfinite(value) or not 0 <= value <= _MOST_COST:
            raise InputError(subject, f"{name} has a cost that is none", expected=f"0 to {_MOST_COST:g}", got=value)
    if workload.maxFPGAs < 0 or workload.maxCPUs < 0 or workload.maxFPGAs + workload.maxCPUs < 1:
        raise InputError(subject, "has no device", expected="maxFPGAs + maxCPUs of at least 1")
