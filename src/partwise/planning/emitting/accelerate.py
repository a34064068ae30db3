"""accelerate: a `device_map` that `dispatch_model` runs.

A module in the map runs whole on its device: a hook moves its arguments there. A module that is not in the map
has no hook, so what it computes itself runs where its operands are, and they must be on one device. So where
operands meet in a divided module, its parts that make them share a device, or, where one comes from outside (a
residual), the module stays whole. Those that share a weight share a device too: dispatching ties them to one copy.

Source: huggingface/accelerate 1.15.0, `big_modeling.dispatch_model`, `hooks.attach_align_device_hook_on_blocks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from partwise.ir import Contraction, Graph
from partwise.planning.emitting.devices import CPU, numbers
from partwise.planning.emitting.modules import ancestors, as_json, owners
from partwise.planning.emitting.records import Atom, Grain, Placed, Written
from partwise.planning.records import Plan

__all__ = ["grain", "write"]

_CALLER = "(caller)"
"""Where the model's own arguments are, and what it computes from them without a hook: the main device."""


def grain(contraction: Contraction) -> Grain:
    """The modules that stay whole, those that overlap in time merged, and which of them share a weight."""
    hooks = _Hooks(contraction.graph)
    found: dict[str, list[int]] = {}
    for node in contraction.placed:
        found.setdefault(hooks.places[node] or _CALLER, []).append(node)
    atoms = _disjoint(found)
    number = {name: position for position, atom in enumerate(atoms) for name in atom.names}
    ties = [sorted({number[name] for name in tied if name in number}) for tied in hooks.tied]
    return Grain(atoms=atoms, ties=tuple(tuple(tie) for tie in ties if len(tie) > 1))


def write(contraction: Contraction, plan: Plan, grain: Grain, placed: Placed) -> Written:
    """The device map, as short as it can be, and the main device."""
    devices = numbers(plan.cluster, placed.devices)
    hooks = _Hooks(contraction.graph)
    at = {name: devices[s] for s, group in enumerate(placed.groups) for a in group for name in grain.atoms[a].names}
    at |= {name: at[known] for tied in hooks.tied for known in tied if known in at for name in tied if name not in at}
    main = at.get(_CALLER, devices[0])
    device_map = _shortened({module: at.get(module, main) for module in hooks.modules})
    notes: list[str] = []
    used = set(device_map.values())
    if len(used) > 1 and CPU in used and len(used - {CPU}) > 0:
        main = CPU
        notes.append('call dispatch_model(..., main_device="cpu"): else what is on the CPU computes on a GPU')
    elif len(used) > 1 and main != min(used, key=str):
        notes.append(f"call dispatch_model(..., main_device={main!r}): the model's arguments are needed there first")
    return Written(data={"device_map": device_map, "main_device": main}, text=as_json(device_map), notes=tuple(notes))


class _Hooks:
    """Which modules get a hook of their own when a model is divided as finely as possible.

    Attributes:
        modules: paths with a hook: no longer divided.
        places: for each node the path that decides where it runs, or `_CALLER`; None where nothing does.
        tied: paths that must share a device.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph, self._owners = graph, owners(graph)
        paths = dict.fromkeys([*(node.module for node in graph.nodes), *self._owners.values()])
        self._whole = {owner for owner in self._owners.values() if owner}
        self.places, meeting = self._locate()
        self.modules = list(dict.fromkeys(key for path in paths if (key := self._hook(path)) is not None))
        self.tied = [*meeting, *self._sharing()]

    def _sharing(self) -> list[set[str]]:
        """Modules that hold or read the same weight, for each weight that several do."""
        found = {tensor: {self._home(tensor)} for tensor in self._owners}
        for node, place in zip(self._graph.nodes, self.places, strict=True):
            for name in node.inputs:
                if name in found and place is not None:
                    found[name].add(place)
        return [modules for modules in found.values() if len(modules) > 1]

    def _hook(self, path: str) -> str | None:
        """The outermost undivided module around a path; None where none is: it holds no weight."""
        return next((module for module in ancestors(path) if module in self._whole), None)

    def _home(self, tensor: str) -> str:
        """Where a weight is."""
        return self._hook(self._owners[tensor]) or _CALLER

    def _locate(self) -> tuple[list[str | None], list[set[str]]]:
        """Close each module where an operand from outside meets another, until none is left."""
        while True:
            places, meetings = self._run()
            closed = {module for module, sources in meetings if not all(_is_inside(s, module) for s in sources)}
            if not closed:
                return places, [sources for _, sources in meetings]
            self._whole |= closed

    def _run(self) -> tuple[list[str | None], list[tuple[str, set[str]]]]:
        """Where each node runs, and in which modules operands meet, from where."""
        where: dict[str, str | None] = dict.fromkeys(self._graph.inputs, _CALLER)
        where |= {tensor: self._home(tensor) for tensor in self._owners}
        places, meetings = list[str | None](), list[tuple[str, set[str]]]()
        for node in self._graph.nodes:
            place = self._hook(node.module)
            if place is None:
                sources = {source for name in node.inputs if (source := where.get(name)) is not None}
                place = min(sources, default=None)
                if len(sources) > 1:
                    meetings.append((node.module, sources))
            places.append(place)
            where.update(dict.fromkeys(node.outputs, place))
        return places, meetings


def _is_inside(source: str, module: str) -> bool:
    return module == "" or source.startswith(module + ".")


def _disjoint(found: Mapping[str, Sequence[int]]) -> tuple[Atom, ...]:
    """Modules in the order of their first nodes; those whose spans overlap are one."""
    merged: list[tuple[list[str], list[int]]] = []
    for name, nodes in sorted(found.items(), key=lambda item: item[1][0]):
        if merged and nodes[0] < merged[-1][1][-1]:
            merged[-1] = [*merged[-1][0], name], sorted([*merged[-1][1], *nodes])
        else:
            merged.append(([name], list(nodes)))
    return tuple(Atom(nodes=tuple(nodes), names=tuple(names)) for names, nodes in merged)


def _shortened(device_map: Mapping[str, int | str]) -> dict[str, int | str]:
    """The same map with a module for all of its parts, where they share a device."""
    below: dict[str, set[int | str]] = {}
    for module, device in device_map.items():
        for above in ancestors(module):
            below.setdefault(above, set()).add(device)
    tops = {module: next(a for a in ancestors(module) if len(below[a]) == 1) for module in device_map}
    return {top: device_map[module] for module, top in tops.items()}
