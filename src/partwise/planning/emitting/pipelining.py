"""torch.distributed.pipelining: where `pipeline` splits its trace, as `{module: BEGINNING or END}`.

A split point stands where a module's forward begins or ends, one a module, and everything traced before it belongs to
the stages before it. So a stage is an interval of the graph's order between such places. What crosses must lie in
memory in the order of its shape: process groups send nothing else. Derived values (masks, rotary tables), which
Partwise repeats, are sent: a note says how many bytes.

Source: PyTorch 2.13, `torch/distributed/pipelining/_IR.py`, `annotate_split_points` and `Pipe.from_tracing`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from partwise.errors import PlanError
from partwise.ir import Contraction
from partwise.planning.emitting.calls import call_ends
from partwise.planning.emitting.devices import ranks
from partwise.planning.emitting.modules import as_json, intervals
from partwise.planning.emitting.records import Atom, Grain, Placed, Target, Written
from partwise.planning.emitting.strides import strided_spans
from partwise.planning.records import Plan
from partwise.units import format_bytes

__all__ = ["grain", "write"]

Point = tuple[str, str]
"""A module, and whether its call begins or ends there."""


def grain(contraction: Contraction) -> Grain:
    """What lies between two places at which the pipeline can split."""
    starts = [0, *_places(contraction)]
    return Grain(atoms=tuple(Atom(nodes=nodes) for nodes in intervals(contraction, starts) if nodes))


def write(contraction: Contraction, plan: Plan, grain: Grain, placed: Placed) -> Written:
    """The split specification, and which member of the cluster each rank is."""
    del grain
    places = _places(contraction)
    starts = [_start(places, before, after) for before, after in zip(placed.nodes, placed.nodes[1:], strict=False)]
    spec = dict(_one_each([places[start] for start in starts]))
    notes = ranks(plan.cluster, placed.devices)
    sent = _derived_bytes(contraction, plan, starts)
    if sent:
        notes += (f"{format_bytes(sent)} of masks and tables are sent too, which the value does not count",)
    return Written(data={"split_spec": spec}, text=as_json(spec), notes=notes)


def _places(contraction: Contraction) -> dict[int, tuple[Point, ...]]:
    """Index of the node before which the pipeline can split, and the split points that do it; ascending."""
    spans, placed = list(strided_spans(contraction.graph)), contraction.placed
    return {
        index: points
        for index, points in call_ends(contraction.graph).items()
        if placed[0] < index <= placed[-1] and not any(first <= index <= last for first, last in spans)
    }


def _start(places: dict[int, tuple[Point, ...]], before: Sequence[int], after: Sequence[int]) -> int:
    """The first place between the nodes of two stages."""
    return next(index for index in places if before[-1] < index <= after[0])


def _one_each(choices: Sequence[Sequence[Point]]) -> Iterator[Point]:
    """A split point for each cut, no module twice. Source: augmenting paths, Kuhn, 1955."""
    owner: dict[str, int] = {}
    chosen: dict[int, Point] = {}

    def place(cut: int, tried: set[str]) -> bool:
        for point in choices[cut]:
            if point[0] not in tried:
                tried.add(point[0])
                if point[0] not in owner or place(owner[point[0]], tried):
                    owner[point[0]], chosen[cut] = cut, point
                    return True
        return False

    for cut, points in enumerate(choices):
        if not place(cut, set()):
            hint = "use another number of stages (--stages)."
            raise PlanError(f"--emit {Target.PIPELINING}", f"two cuts need `{points[0][0]}`", hint=hint)
    yield from (chosen[cut] for cut in range(len(choices)))


def _derived_bytes(contraction: Contraction, plan: Plan, starts: Sequence[int]) -> int:
    """Bytes that cross between stages of the trace although they derive from the model's inputs alone."""
    graph, sent = contraction.graph, set[tuple[str, int]]()
    for index, node in enumerate(graph.nodes):
        home = bisect_right(starts, index)
        sent |= {(name, home) for name in node.inputs if bisect_right(starts, graph.producer.get(name, index)) < home}
    derived = {name for name, _ in sent if contraction.of(name).received <= set(graph.inputs)}
    return sum(graph.spec[name].bytes(plan.sizes) for name, _ in sent if name in derived)
