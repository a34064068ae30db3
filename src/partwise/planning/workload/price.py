"""Placements of a workload priced anew, from the file's own rows and with none of the solver's arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from partwise.planning.arrays import Ints
from partwise.planning.workload.records import PlacementStage, Workload

__all__ = ["priced_stages"]


def priced_stages(workload: Workload, sets: Sequence[tuple[int, Ints]]) -> Iterator[PlacementStage]:
    """What each device does.

    Args:
        workload: the file's rows.
        sets: for each stage its type of device (0 is the accelerator where there are any), and its rows.
    """
    has_accelerators = workload.maxFPGAs > 0
    chosen: list[list[int]] = [nodes.tolist() for _, nodes in sets]
    home = {workload.nodes[index].id: number for number, nodes in enumerate(chosen) for index in nodes}
    used: dict[str, int] = {}
    for number, (kind, _) in enumerate(sets):
        is_accelerator = has_accelerators and kind == 0
        rows = [workload.nodes[index] for index in chosen[number]]
        name = "accelerator" if is_accelerator else "cpu"
        used[name] = used.get(name, -1) + 1
        load = sum(row.fpgaLatency if is_accelerator else row.cpuLatency for row in rows)
        if is_accelerator:
            load += sum(_crossing(workload, home, number).values())
        yield PlacementStage(
            index=number,
            device=f"{name}-{used[name]}",
            nodes=tuple(sorted(row.id for row in rows)),
            load=load,
            size=sum(row.size for row in rows),
        )


def _crossing(workload: Workload, home: Mapping[int, int], stage: int) -> dict[int, float]:
    """The cost of each node's value that crosses into or out of a stage."""
    found: dict[int, float] = {}
    for edge in workload.edges:
        if (home[edge.sourceId] == stage) != (home[edge.destId] == stage):
            found[edge.sourceId] = max(edge.cost, found.get(edge.sourceId, 0.0))
    return found
