"""torch.distributed.pipelining: where `pipeline` splits its trace, as `{module: BEGINNING or END}`.

A split point stands where a module's forward begins or ends, and everything traced before it belongs to the stages
before it. So a stage is an interval of the graph's order between such places, and the module must be called once.
Derived values (masks, rotary tables), which Partwise repeats, are sent by the pipeline: a note says how many bytes.

Source: PyTorch 2.13, `torch/distributed/pipelining/_IR.py`, `annotate_split_points` and `Pipe.from_tracing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from partwise.ir import Contraction, Graph
from partwise.planning.emitting.devices import ranks
from partwise.planning.emitting.modules import ancestors, as_json, intervals
from partwise.planning.emitting.records import Atom, Grain, Placed, Written
from partwise.planning.records import Plan
from partwise.units import format_bytes

__all__ = ["BEGINNING", "END", "grain", "write"]

BEGINNING, END = "BEGINNING", "END"


def grain(contraction: Contraction) -> Grain:
    """What lies between two places at which the pipeline can split; an atom is named by its start."""
    places = _places(contraction.graph)
    starts = [0, *sorted(index for index in places if index)]
    atoms: list[Atom] = []
    name = ""
    for start, nodes in zip(starts, intervals(contraction, starts), strict=True):
        name = name or " ".join(
            places.get(start, ("", ""))
        )  # of several places without a placed node between: the first
        if nodes:
            atoms.append(Atom(nodes=nodes, names=(name,)))
            name = ""
    return Grain(atoms=tuple(atoms))


def write(contraction: Contraction, plan: Plan, grain: Grain, placed: Placed) -> Written:
    """The split specification, and which member of the cluster each rank is."""
    starts = [grain.atoms[group[0]].names[0] for group in placed.groups[1:]]
    spec = dict(start.split(" ") for start in starts)
    notes = ranks(plan.cluster, placed.devices)
    return Written(data={"split_spec": spec}, text=as_json(spec), notes=(*notes, *_sent_too(contraction, plan, placed)))


def _sent_too(contraction: Contraction, plan: Plan, placed: Placed) -> Iterator[str]:
    """What crosses between stages of the trace although it derives from the model's inputs alone."""
    graph = contraction.graph
    stage = {node: number for number, nodes in enumerate(placed.nodes) for node in nodes}
    homes = list(
        accumulate((stage.get(node, 0) for node in range(len(graph.nodes))), max)
    )  # a repeated node runs in its place
    made = {name: homes[index] for index, node in enumerate(graph.nodes) for name in node.outputs}
    crossing = {(name, homes[i]) for i, node in enumerate(graph.nodes) for name in node.inputs if name in made}
    derived = sorted({name for name, home in crossing if made[name] < home and _is_derived(contraction, name)})
    size = sum(
        graph.spec[name].bytes(plan.sizes) for name, home in sorted(crossing) if name in derived and made[name] < home
    )
    if size:
        yield f"{format_bytes(size)} of masks and tables are sent too, which the value does not count"


def _is_derived(contraction: Contraction, name: str) -> bool:
    return contraction.of(name).received <= set(contraction.graph.inputs)


def _places(graph: Graph) -> dict[int, tuple[str, str]]:
    """For each index before which the pipeline can split a split point: of the outermost module, a beginning first."""
    found: dict[int, tuple[str, str]] = {}
    for module, (first, last) in sorted(_called_once(graph).items(), key=lambda item: (item[0].count("."), item[0])):
        if found.get(first, ("", END))[1] == END:
            found[first] = (module, BEGINNING)
        found.setdefault(last + 1, (module, END))
    return {index: place for index, place in found.items() if 0 < index < len(graph.nodes)}


def _called_once(graph: Graph) -> dict[str, tuple[int, int]]:
    """First and last node of each module that is certainly called, once, without anything else in between."""
    held: dict[str, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        for module in ancestors(node.module):
            held.setdefault(module, []).append(index)
    held.pop("", None)
    again = _read_twice(graph)
    children = _children(held)
    direct = {node.module for node in graph.nodes}
    return {
        module: (nodes[0], nodes[-1])
        for module, nodes in held.items()
        if nodes[-1] - nodes[0] == len(nodes) - 1
        and module not in again
        and (module in direct or _is_element(module, children.get(module, ())))
    }


def _is_element(module: str, children: Iterable[str]) -> bool:
    """Whether it is an element of a list and no list itself: lists of modules are not called."""
    return module.rpartition(".")[2].isdigit() and not all(child.isdigit() for child in children)


def _children(modules: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for module in modules:
        parent, _, name = module.rpartition(".")
        found.setdefault(parent, set()).add(name)
    return found


def _read_twice(graph: Graph) -> set[str]:
    """Modules that read one weight in several nodes, and what they are in: they may be called several times."""
    readers: dict[tuple[str, str], int] = {}
    for node in graph.nodes:
        for name in node.inputs:
            if name in graph.held:
                readers[name, node.module] = readers.get((name, node.module), 0) + 1
    return {above for (_, module), count in readers.items() if count > 1 for above in ancestors(module)}
