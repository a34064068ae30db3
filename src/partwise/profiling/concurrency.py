"""How much of a graph can run at once: stages, the longest chain, and each node's own parallelism.

A stage of execution is a level: nodes whose longest chain of predecessors has the same length, so all of a level can
run at once when the one before has. Views take no time and count in no level. (A stage of a *plan* is another thing.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from partwise.errors import InputError
from partwise.ir import Graph, Kind
from partwise.profiling.fusion_flow import Flow, Unit
from partwise.profiling.profile import Profile, bind

__all__ = ["Concurrency", "Parallelism", "concurrency", "parallelism", "saturating_batch"]

_MOST_BATCH = 1 << 20
"""Where the search for a saturating batch ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallelism:
    """Independent results of one node: threads = batch × channel × spatial."""

    node: int
    batch: int
    channel: int
    """Channels of an image, columns of a product: the results that share an argument's row."""
    spatial: int
    """Pixels, or the rows of a product beyond the batch: tokens, heads."""

    @property
    def threads(self) -> int:
        """Results that can be computed at once."""
        return self.batch * self.channel * self.spatial

    def units(self, threads_each: int) -> int:
        """Hardware units that the node can fill, each running this many threads (SMs, cores × lanes, tiles)."""
        return -(-self.threads // threads_each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """A graph's parallelism over time."""

    stages: tuple[tuple[int, ...], ...] = field(repr=False)
    """Levels: groups (places in `groups`) that can run at once."""
    groups: tuple[tuple[int, ...], ...] = field(repr=False)
    """What runs as one: single nodes, or the units of a fusion."""
    critical_path: tuple[int, ...]
    """Places of the longest chain, in order."""
    nodes: tuple[Parallelism, ...] = field(repr=False)
    """For each node that is no view."""

    @property
    def widest(self) -> int:
        """The number of the stage with the most groups, the first if there are several."""
        return max(range(len(self.stages)), key=lambda stage: (len(self.stages[stage]), -stage), default=0)

    @property
    def most_parallel(self) -> int:
        """Groups of the widest stage."""
        return max(map(len, self.stages), default=0)


def concurrency(graph: Graph, profile: Profile, units: Sequence[Unit] | None = None) -> Concurrency:
    """Levels, the critical path and every node's parallelism.

    Args:
        graph: a captured graph.
        profile: its profile; the sizes are taken from it.
        units: a fusion's units, to see them instead of single nodes; in an order in which they can run.
    """
    flow = Flow(graph, profile.sizes)
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
        nodes=tuple(parallelism(flow, index) for index in flow.working),
    )


def parallelism(flow: Flow, index: int) -> Parallelism:
    """Independent results of a node, from the shape of its first one.

    Images [N, C, ...] have N, C and the rest. Everything else has its first dim as batch, its last as channel and
    what lies between as spatial. Reductions inside a result (a product's length, a kernel's window) count once.
    """
    shape = flow.shapes[flow.graph.nodes[index].name]
    if len(shape) < 2:
        return Parallelism(node=index, batch=1, channel=prod(shape), spatial=1)
    if flow.kinds[index] in (Kind.CONV, Kind.POOL) or _is_image(flow, index):
        return Parallelism(node=index, batch=shape[0], channel=shape[1], spatial=prod(shape[2:]))
    return Parallelism(node=index, batch=shape[0], channel=shape[-1], spatial=prod(shape[1:-1]))


def _is_image(flow: Flow, index: int) -> bool:
    """Whether a node goes on with what a convolution made: same rank, four dims or more."""
    shape, reads = flow.shapes[flow.graph.nodes[index].name], flow.reads[index]
    return len(shape) >= 4 and any(flow.images.get(root, False) for root, _ in reads)


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
    are none as the elements they make. Waves and tiles are left to the device's mapping.

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
    bindings = bind(graph, sizes)
    flow = Flow(graph, bindings)
    work = [flow.work(index) for index in flow.working]
    if not any(macs for macs, _ in work):
        work = [(elements, elements) for _, elements in work]
    threads = [parallelism(flow, index).threads for index in flow.working]
    total = sum(macs for macs, _ in work)
    busy = sum(macs * min(1.0, count / parallel_threads) for (macs, _), count in zip(work, threads, strict=True))
    return busy / total if total else 1.0


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
