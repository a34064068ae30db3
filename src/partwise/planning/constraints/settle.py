"""From the names in constraints to units of choice and the members that some of them are pinned to.

What must share a stage is merged where it overlaps; everything on a path between two nodes of one stage is in it too
(`colocation`). Two groups that thereby become one, though neither names the other, are cyclic: each needs a value of
the other, and no plan keeps both and has them in two stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from partwise.errors import InputError
from partwise.hardware import Cluster
from partwise.ir import Contraction
from partwise.planning.colocation import merged, state_groups, units
from partwise.planning.constraints.records import UNCONSTRAINED, Constraints, Pin

__all__ = ["Settled", "nodes_named", "settle", "stated_groups"]

Group = tuple[str, tuple[int, ...]]
"""How it is called, and its placed nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What is left to choose."""

    units: tuple[tuple[int, ...], ...]
    """Placed nodes that share a stage in every plan."""
    homes: Mapping[int, str]
    """Units that are pinned, and the member that each runs on."""
    notes: tuple[str, ...] = ()
    """What the constraints take along though nobody named it."""


def settle(contraction: Contraction, constraints: Constraints, cluster: Cluster) -> Settled:
    """The units under constraints, and their homes.

    Raises:
        InputError: a name that is no node and no module (the message has the nearest), a device that is not in the
            cluster, two pins that contradict each other, cyclic colocation.
    """
    if constraints == UNCONSTRAINED:
        return Settled(units=units(contraction), homes={})
    pinned = [(pin, nodes_named(contraction, pin.name)) for pin in constraints.pins]
    _check_devices(constraints.pins, cluster)
    groups = list(stated_groups(contraction, constraints))
    if not cluster.is_open:
        groups += _pin_groups(pinned)
    found = units(contraction, [nodes for _, nodes in groups])
    homes = dict(_homes(contraction, found, pinned))
    _refuse_cycles(contraction, found, groups)
    return Settled(units=found, homes={} if cluster.is_open else homes, notes=tuple(_notes(found, groups)))


def nodes_named(contraction: Contraction, name: str) -> tuple[int, ...]:
    """The placed nodes that a name means: one node, or all of a module.

    Raises:
        InputError: there is none.
    """
    nodes = contraction.graph.nodes
    found = tuple(i for i in contraction.placed if nodes[i].name == name) or tuple(
        i for i in contraction.placed if _is_in(nodes[i].module, name)
    )
    if found:
        return found
    if any(node.name == name or _is_in(node.module, name) for node in nodes):
        raise InputError(f"`{name}`", "is repeated in every stage that needs it, so it belongs to none")
    near = get_close_matches(name, _names(contraction), 3, 0.5)
    hint = f"the nearest are {', '.join(near)}." if near else "`partwise profile --depth 9` lists the modules."
    raise InputError(f"`{name}`", "is no node and no module of the graph", hint=hint)


def stated_groups(contraction: Contraction, constraints: Constraints) -> Iterator[Group]:
    """Nodes that share a stage because the user says so."""
    for names in constraints.together:
        found = {node for name in names for node in nodes_named(contraction, name)}
        yield f"together {', '.join(names)}", tuple(sorted(found))
    for entry in constraints.uncut:
        if len(entry) == 1:
            yield f"uncut {entry[0]}", nodes_named(contraction, entry[0])
        else:
            yield from _neighbours(contraction, entry)


def _is_in(module: str, name: str) -> bool:
    return module == name or module.startswith((f"{name}.", f"{name}/"))


def _names(contraction: Contraction) -> list[str]:
    """Names of the placed nodes, of their modules and of the modules around those."""
    found: dict[str, None] = {}
    for index in contraction.placed:
        node = contraction.graph.nodes[index]
        parts = node.module.split(".") if node.module else []
        found.update(dict.fromkeys([".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]))
        found[node.name] = None
    return list(found)


def _neighbours(contraction: Contraction, ends: Sequence[str]) -> Iterator[Group]:
    """Each maker and reader of a value that goes from one name to the other."""
    first, second = (set(nodes_named(contraction, name)) for name in ends)
    maker = {name: index for index in contraction.placed for name in contraction.graph.nodes[index].outputs}
    found = False
    for reader in contraction.placed:
        others = first if reader in second else second if reader in first else set[int]()
        for name in sorted(contraction.reads(reader).received):
            if maker.get(name) in others:
                found = True
                yield f"uncut {ends[0]} | {ends[1]}", (maker[name], reader)
    if not found:
        raise InputError(
            f"uncut {list(ends)}", "no value goes from one to the other, so there is nothing to forbid",
            hint="to keep them in one stage, name them under `together`.",
        )  # fmt: skip


def _pin_groups(pinned: Sequence[tuple[Pin, tuple[int, ...]]]) -> Iterator[Group]:
    """A member runs one stage: everything pinned to it."""
    for device in dict.fromkeys(pin.device for pin, _ in pinned):
        yield f"pins to {device}", tuple(sorted({n for pin, nodes in pinned if pin.device == device for n in nodes}))


def _check_devices(pins: Iterable[Pin], cluster: Cluster) -> None:
    names = [member.name for member in cluster.members]
    for pin in pins:
        if pin.device not in names:
            near = get_close_matches(pin.device, names, 3, 0.5)
            raise InputError(
                f"pin `{pin.name}`", f"`{pin.device}` is no member of cluster `{cluster.name}`",
                expected=", ".join(near or names[:8]),
            )  # fmt: skip


def _homes(
    contraction: Contraction, found: Sequence[Sequence[int]], pinned: Sequence[tuple[Pin, tuple[int, ...]]]
) -> Iterator[tuple[int, str]]:
    unit_of = {node: unit for unit, nodes in enumerate(found) for node in nodes}
    first: dict[int, tuple[Pin, int]] = {}
    for pin, nodes in pinned:
        for node in nodes:
            other, where = first.setdefault(unit_of[node], (pin, node))
            if other.device != pin.device:
                why = _why(contraction, where, node)
                raise InputError(
                    f"pins `{other.name}` = `{other.device}` and `{pin.name}` = `{pin.device}`",
                    f"contradict each other: {why}",
                    hint="drop one of them, or name the same device.",
                )
            yield unit_of[node], pin.device


def _why(contraction: Contraction, one: int, other: int) -> str:
    names = [contraction.graph.nodes[index].name for index in (one, other)]
    if one == other:
        return f"both name node `{names[0]}`"
    return f"nodes `{names[0]}` and `{names[1]}` share a stage (a state, a group, or what lies between two of one)"


def _refuse_cycles(contraction: Contraction, found: Sequence[Sequence[int]], groups: Sequence[Group]) -> None:
    """Groups that share no node, yet became one unit."""
    classes = merged([nodes for _, nodes in groups], state_groups(contraction))
    unit_of = {node: unit for unit, nodes in enumerate(found) for node in nodes}
    seen: dict[int, tuple[str, int]] = {}
    for name, nodes in groups:
        if name.startswith("pins"):
            continue  # one unit on one device keeps them; two devices are a contradiction
        unit, group = unit_of[nodes[0]], classes[nodes[0]]
        other, before = seen.setdefault(unit, (name, group))
        if before != group and other != name:
            raise InputError(
                f"[{other}] and [{name}]", "cyclic colocation: each needs a value of the other, so they cannot be in "
                "two stages", hint="name them as one group, or take a node out of one.",
            )  # fmt: skip


def _notes(found: Sequence[Sequence[int]], groups: Sequence[Group]) -> Iterator[str]:
    stated = {node for _, nodes in groups for node in nodes}
    unit_of = {node: unit for unit, nodes in enumerate(found) for node in nodes}
    if groups and len(found) == 1:
        yield f"[{groups[0][0]}] takes in the whole graph: nothing is left to divide"
        return
    said: set[int] = set()
    for name, nodes in groups:
        unit = unit_of[nodes[0]]
        more = sum(node not in stated for node in found[unit])
        if more and unit not in said:
            said.add(unit)
            yield f"[{name}] takes {more} more node{'s' * (more > 1)} along: what lies between is in the same stage"
