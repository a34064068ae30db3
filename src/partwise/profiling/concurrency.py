"""How much of a graph can run at once: stages, the longest chain, and each node's own parallelism.

A stage of execution is a level: nodes whose longest chain of predecessors has the same length, so all of a level can
run at once when the one before has. Views take no time and count in no level. (A stage of a *plan* is another thing.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from partwise.errors import InputError
from partwise.ir import Graph
from partwise.profiling.fusion_flow import Flow, Unit
from partwise.profiling.profile import Profile, profile

__all__ = ["Concurrency", "concurrency", "saturating_batch"]

_MOST_BATCH = 1 << 20
"""Where the search for a saturating batch ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """A graph's parallelism over time."""

    stages: tuple[tuple[int, ...], ...] = field(repr=False)
    """Levels: groups (places in `groups`) that can run at once."""
    groups: tuple[tuple[int, ...], ...] = field(repr=False)
    """What runs as one: single nodes, or the units of a fusion."""
    critical_path: tuple[int, ...]
    """Places of the longest chain, in order."""
    threads: tuple[int, ...] = field(repr=False)
    """Of each group: results that can be computed at once, the most of any of its nodes."""

    @property
    def widest(self) -> int:
        """The number of the stage with the most groups, the first if there are several."""
        return max(range(len(self.stages)), key=lambda stage: (len(self.stages[stage]), -stage), default=0)

    @property
    def most_parallel(self) -> int:
        """Groups of the widest stage."""
        return max(map(len, self.stages), default=0)

    def units(self, threads_each: int) -> tuple[int, ...]:
        """Hardware units (SMs, cores, tiles) that each group can fill, each unit running this many threads."""
        return tuple(-(-count // threads_each) for count in self.threads)


def concurrency(graph: Graph, counted: Profile, units: Sequence[Unit] | None = None) -> Concurrency:
    """Levels, the critical path and every node's parallelism.

    Args:
        graph: a captured graph.
        counted: its profile; the sizes are taken from it.
        units: a fusion's units, to see them instead of single nodes; in an order in which they can run.
    """
    flow = Flow(graph, counted)
    groups = tuple((index,) for index in flow.working) if units is None else tuple(u.nodes for u in units)
    home = {index: place for place, group in enumerate(groups) for index in group}
    level, behind = [0] * len(groups), [-1] * len(groups)
    for place, group in enumerate(groups):
        makers = {home[flow.maker[root]] for index in group for root, _ in flow.reads[index] if root in flow.maker}
        for maker in sorted(makers - {place}):
            if level[maker] + 1 > level[place]:
                level[place], behind[place] = level[maker] + 1, maker
    stages: list[list[int]] = [[] for _ in range(max(level, default=-1) + 1)]
    for place, number in enumerate(level):
        stages[number].append(place)
    return Concurrency(
        stages=tuple(map(tuple, stages)),
        groups=groups,
        critical_path=_chain(level, behind),
        threads=tuple(max(counted.nodes[index].parallelism.threads for index in group) for group in groups),
    )


def saturating_batch(
    graph: Graph,
    parallel_threads: int,
    *,
    symbol: str = "batch",
    share: float = 1.0,
    sizes: dict[str, int] | None = None,
) -> int | None:
    """The smallest batch at which a device's threads are all busy, on an average weighted by work.

    Busy is min(1, threads / parallel_threads) of a node; nodes weigh as their multiply-accumulates, and where there
    is none in the graph as the bytes they move. Waves and tiles are left to the device's mapping.

    Args:
        graph: captured with a symbolic batch.
        parallel_threads: threads that the device runs at once (SMs × threads each, cores × lanes).
        symbol: the batch's name.
        share: how busy is busy enough, 0 to 1.
        sizes: values of other symbols.

    Returns:
        The batch; None where no batch up to 2^20 is enough.

    Raises:
        InputError: the graph has no such symbol, or a number makes no sense.
    """
    if parallel_threads < 1 or not 0 < share <= 1:
        raise InputError("saturation", "a device runs at least 1 thread, and a share lies between 0 and 1",
                         got=f"{parallel_threads} threads, share {share}")  # fmt: skip
    low, high = 0, 1
    while _busy(graph, {**(sizes or {}), symbol: high}, parallel_threads) < share:
        low, high = high, 2 * high
        if high > _MOST_BATCH:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = _busy(graph, {**(sizes or {}), symbol: middle}, parallel_threads) >= share
        low, high = (low, middle) if enough else (middle, high)
    return high


def _busy(graph: Graph, sizes: dict[str, int], parallel_threads: int) -> float:
    """Share of a device's threads that have work, from 0 to 1."""
    costs = [cost for cost in profile(graph, sizes).nodes if cost.macs or cost.traffic_bytes]
    counts = any(cost.macs for cost in costs)
    weights = [cost.macs if counts else cost.traffic_bytes for cost in costs]
    busy = sum(w * min(1.0, c.parallelism.threads / parallel_threads) for w, c in zip(weights, costs, strict=True))
    return busy / sum(weights) if sum(weights) else 1.0


def _chain(level: Sequence[int], behind: Sequence[int]) -> tuple[int, ...]:
    """The longest chain, from its end back."""
    if not level:
        return ()
    place = max(range(len(level)), key=lambda p: (level[p], -p))
    path = [place]
    while behind[place] >= 0:
        place = behind[place]
        path.append(place)
    return tuple(reversed(path))
