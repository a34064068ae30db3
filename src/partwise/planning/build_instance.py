"""From a graph's arrays and a cluster to the placement problem of one objective."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import fsum

import numpy as np

from partwise.hardware import Cluster, Member
from partwise.planning.arrays import Floats, Ints, Pairs
from partwise.planning.bounds import unit_working_bytes
from partwise.planning.goals import GOALS, Amounts, Join, amounts_of
from partwise.planning.ideals import Cap, Channel, Instance
from partwise.planning.needs import flat
from partwise.planning.problem import Problem
from partwise.planning.records import Limits, Objective

__all__ = ["Types", "build", "types_of"]


@dataclass(frozen=True, slots=True)
class Types:
    """The members of a cluster by what a solver can tell apart.

    Attributes:
        members: [types] equal devices with equal limits and links.
        counts: [types] how many of them a plan may use.
    """

    members: tuple[tuple[Member, ...], ...]
    counts: tuple[int, ...]


def types_of(cluster: Cluster, stages: int, pinned: Collection[str] = ()) -> Types:
    """The types of a cluster's devices; of an open one as many as stages are asked for.

    Args:
        cluster: the devices.
        stages: how many there are of an open cluster's.
        pinned: members that something is pinned to: each is a type of its own.
    """
    if cluster.is_open:
        return Types((cluster.members,), (stages,))
    found: dict[object, list[Member]] = {}
    for member in cluster.members:
        link = cluster.fastest(member.name)
        alone = member.name if member.name in pinned else ""
        key = (member.device.name, member.memory_bytes, member.pool, link.bytes_per_s, link.latency_s, alone)
        found.setdefault(key, []).append(member)
    groups = tuple(tuple(group) for group in found.values())
    return Types(groups, tuple(len(group) for group in groups))


def build(
    problem: Problem,
    types: Types,
    limits: Limits,
    objective: Objective | Sequence[tuple[float, Objective]],
    caps: Sequence[tuple[Objective, float]] = (),
) -> Instance:
    """The placement problem of one objective.

    Args:
        problem: the graph as arrays.
        types: of the cluster's devices.
        limits: of every stage.
        objective: what is made small; several with weights if all of them add up.
        caps: objectives whose price no stage may exceed.
    """
    layout = _Layout(problem)
    held = _held(problem, layout)
    shares = [(1.0, objective)] if isinstance(objective, Objective) else objective
    parts = [_channels(problem, types, layout, wanted) for _, wanted in shares]
    mixed = tuple(_mixed([weight for weight, _ in shares], kind) for kind in zip(*parts, strict=True))
    load, strangers = _at_home(problem, types, mixed, held)
    priced = (Cap(load=_channels(problem, types, layout, wanted), limit=limit) for wanted, limit in caps)
    return Instance(
        edges=layout.edges,
        maker=layout.maker,
        readers=layout.readers,
        needs=layout.needs,
        counts=types.counts,
        load=load,
        adds=GOALS[shares[0][1]].join is Join.SUM,
        caps=(*strangers, *priced, *_counted(limits, held, len(types.members))),
        room=tuple(min(limits.room_bytes, group[0].room_bytes) - problem.overhead_bytes for group in types.members),
        held=held.bytes,
        value_bytes=layout.over_values(problem.tensor_bytes.astype(float)),
        homes=_homes(problem, types),
        exactly=limits.stages,
        working=unit_working_bytes(problem).astype(float),
        is_simple=np.array([len(nodes) == 1 for nodes in problem.units]),
        nodes=np.array([(min(nodes), max(nodes)) for nodes in problem.units]).reshape(-1, 2),
    )


def _channels(problem: Problem, types: Types, layout: _Layout, wanted: Objective) -> tuple[Channel, ...]:
    """[types] What an objective makes of a stage on each type of device."""
    return tuple(layout.channel(amounts_of(problem, wanted, group[0])) for group in types.members)


def _counted(limits: Limits, held: _Held, types: int) -> Iterator[Cap]:
    """The limits on parameters and layers, the same on every type of device."""
    for amount, limit in ((held.parameters, limits.max_parameters), (held.layers, limits.max_layers)):
        if limit is not None:
            yield Cap(load=(amount,) * types, limit=limit)


def _mixed(weights: Sequence[float], channels: Sequence[Channel]) -> Channel:
    """A weighted sum of channels."""
    if len(channels) == 1 and weights[0] == 1:
        return channels[0]

    def total(part: Callable[[Channel], Floats]) -> Floats:
        return np.sum([weight * part(channel) for weight, channel in zip(weights, channels, strict=True)], axis=0)

    return Channel(
        work=total(lambda channel: channel.work),
        receive=total(lambda channel: channel.receive),
        send=total(lambda channel: channel.send),
        again=total(lambda channel: channel.again),
        fixed=fsum(weight * channel.fixed for weight, channel in zip(weights, channels, strict=True)),
    )


def _at_home(
    problem: Problem, types: Types, load: tuple[Channel, ...], held: _Held
) -> tuple[tuple[Channel, ...], list[Cap]]:
    """Loads under which a pinned unit costs more than any plan where it does not belong, and the cap that forbids it.

    The cap is the rule; the cost lets the quick test see it. A cost far above all others would drown their digits.
    """
    if not problem.homes:
        return load, []
    far = 2 * max(sum(float(part.sum()) for part in (c.work, c.receive, c.send, c.again)) + c.fixed for c in load)
    away = [np.zeros(len(problem.units)) for _ in types.members]
    for unit, home in problem.homes.items():
        for kind, group in enumerate(types.members):
            away[kind][unit] = group[0].name != home
    nothing = replace(held.bytes, work=away[0] * 0, again=held.bytes.again * 0)
    strangers = tuple(replace(nothing, work=count) for count in away)
    loads = tuple(replace(c, work=c.work + far * count) for c, count in zip(load, away, strict=True))
    return loads, [Cap(load=strangers, limit=0.5)]


def _homes(problem: Problem, types: Types) -> tuple[int | None, ...]:
    """[types] The unit pinned to a device, where there is one."""
    units = {name: unit for unit, name in problem.homes.items()}
    return tuple(units.get(group[0].name) for group in types.members) if units else ()


@dataclass(frozen=True, slots=True)
class _Held:
    bytes: Channel
    parameters: Channel
    layers: Channel


class _Layout:
    """Which units share which values and items; items that the same units need are one.

    Attributes:
        edges: [edges, 2] from a value's maker to a reader.
        values: tensors that some other unit than their maker reads; after them come the fused units of which nodes
            are apart: as a value that the first node makes and the others read, at the price of a cut.
        maker: the unit that makes each.
        readers: units and places in `values`.
        needs: units and items.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        maker = problem.maker[problem.reads.item]
        crossing = (maker >= 0) & (maker != problem.reads.unit)
        unit, tensor = problem.reads.unit[crossing], problem.reads.item[crossing]
        self.edges = np.unique(np.stack((maker[crossing], unit), axis=1), axis=0)
        self.values, place = np.unique(tensor, return_inverse=True)
        fused, first, others = _apart(problem)
        self._fused = fused
        self.maker: Ints = np.concatenate((problem.maker[self.values], first))
        later = len(self.values) + others.item
        self.readers = Pairs(np.concatenate((unit, others.unit)), np.concatenate((place, later)))
        self._own: dict[str, Pairs] = {}
        self._shared: dict[tuple[int, ...], list[tuple[str, int]]] = {}
        single = [end for end in problem.ends if len(end.makers) == 1]  # of several the last one returns it
        returned = [(end.makers[0], node) for end in single for node in end.repeated]
        self._gather("node", _repeated(problem), returned, len(problem.node_seconds))
        kept = [(end.makers[0], weight) for end in single for weight in end.weights]
        self._gather("weight", problem.holds, kept, len(problem.weight_bytes))
        groups = [(unit, item) for item, units in enumerate(self._shared) for unit in units]
        self.needs = Pairs(*(np.array(groups, np.int64).reshape(-1, 2).T))

    def channel(self, amounts: Amounts) -> Channel:
        """What a goal asks of nodes and tensors, of units, values and items."""
        nodes = np.zeros(len(self.problem.node_seconds)) if amounts.nodes is None else amounts.nodes
        return self.spread("node", nodes, self.problem.unit_sums(nodes), amounts)

    def spread(self, kind: str, amount: Floats, work: Floats, amounts: Amounts | None = None) -> Channel:
        """Amounts of nodes or weights, laid over the units that alone need them and over items."""
        work = work.copy()
        np.add.at(work, self._own[kind].unit, amount[self._own[kind].item])
        again = [sum(amount[thing] for each, thing in things if each == kind) for things in self._shared.values()]
        given = amounts or Amounts()
        return Channel(
            work=work,
            receive=self.over_values(given.receive, given.cut),
            send=self.over_values(given.send),
            again=np.array(again, np.float64),
            fixed=given.fixed,
        )

    def over_values(self, tensors: Floats | None, cut: Floats | None = None) -> Floats:
        """[values] Amounts of tensors, and those of fused units; nothing where there are none."""
        own = np.zeros(len(self.values)) if tensors is None else tensors[self.values]
        return np.concatenate((own, np.zeros(len(self._fused)) if cut is None else cut[self._fused]))

    def _gather(self, kind: str, pairs: Pairs, more: Sequence[tuple[int, int]], count: int) -> None:
        """Sort out the things, fewer than `count`, that one unit alone needs."""
        extra = np.array(more, np.int64).reshape(-1, 2)
        units, things = np.concatenate((pairs.unit, extra[:, 0])), np.concatenate((pairs.item, extra[:, 1]))
        found = flat(Pairs(units, things), count)
        alone = np.bincount(found.item, minlength=count)[found.item] == 1
        self._own[kind] = Pairs(found.unit[alone], found.item[alone])
        users: dict[int, list[int]] = {}
        for unit, thing in zip(found.unit[~alone].tolist(), found.item[~alone].tolist(), strict=True):
            users.setdefault(thing, []).append(unit)
        for thing, sharing in users.items():
            self._shared.setdefault(tuple(sharing), []).append((kind, thing))


def _apart(problem: Problem) -> tuple[Ints, Ints, Pairs]:
    """Fused units with nodes in several units: their numbers, the unit of the first node, and those of the others."""
    home = problem.home
    rows = [home[list(unit.nodes)] for unit in problem.rates.units]
    chosen = [(number, np.unique(row[row != row[0]])) for number, row in enumerate(rows) if (row != row[0]).any()]
    units = [unit for _, others in chosen for unit in others.tolist()]
    places = [place for place, (_, others) in enumerate(chosen) for _ in others]
    first = [rows[number][0] for number, _ in chosen]
    others = Pairs(np.array(units, np.int64), np.array(places, np.int64))
    return np.array([number for number, _ in chosen], np.int64), np.array(first, np.int64), others


def _held(problem: Problem, layout: _Layout) -> _Held:
    nothing = np.zeros(len(problem.units))
    return _Held(
        bytes=layout.spread("weight", problem.weight_bytes.astype(float), nothing),
        parameters=layout.spread("weight", problem.parameters.astype(float), nothing),
        layers=layout.spread("weight", np.zeros(len(problem.weight_bytes)), problem.layers.astype(float)),
    )


def _repeated(problem: Problem) -> Pairs:
    again = ~problem.is_placed[problem.runs.item]
    return Pairs(problem.runs.unit[again], problem.runs.item[again])
