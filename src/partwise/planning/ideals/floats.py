"""A graph with too many ideals without the units that make them many: what is left, and what floats over it.

In an encoder–decoder the keys and values of every cross-attention wait between the encoder and their layer, in any
order: thousands of millions of ideals. Without them (and with the order that runs through them) the rest, the *core*,
has few. A bound for the core with their work as a liquid that runs between release and deadline (`slack`) is a bound
for the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from partwise.planning.arrays import Bits, Floats, Ints, Pairs
from partwise.planning.ideals.blocks import topological
from partwise.planning.ideals.instance import Channel, Instance
from partwise.planning.ideals.lattice import Lattice, lattice

__all__ = ["Core", "core_of", "core_without"]

_MOST_UNITS = 3000  # of a block whose order is looked at as a table
_MOST_FLOATS = 96
_BATCH = 4  # units that float at once, before the others are counted anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What is left of an instance, and what floats."""

    instance: Instance
    """Of the units that do not float; their values cost no more than they do in the whole."""
    lattice: Lattice
    """All its ideals."""
    work: Floats
    """[floats] What each pays wherever it is."""
    released: Floats
    """[ideals] Work of the floats whose ancestors are all in the ideal."""
    due: Floats
    """[ideals] Work of the floats that some unit of the ideal depends on."""


def core_of(instance: Instance, whole: Lattice, most: int) -> Core | None:
    """The core with the fewest floats that has few enough ideals; None where none was found.

    Args:
        instance: on devices of one type.
        whole: its lattice, some of whose blocks are incomplete.
        most: ideals of a block of the core.
    """
    crowd = _crowd(whole)
    if len(crowd) > _MOST_UNITS:
        return None
    apart, floats = _incomparable(instance, crowd), np.zeros(instance.units, bool)
    while floats.sum() < min(_MOST_FLOATS, len(crowd)):
        pairs = apart.astype(np.float32)
        crowded = (pairs * (pairs @ pairs)).sum(axis=1)
        chosen = np.argsort(-crowded, kind="stable")[:_BATCH]
        floats[crowd[chosen]] = True
        apart[chosen] = apart[:, chosen] = False
        if crowded.max() and floats.sum() < 2 * _BATCH:
            continue
        if (found := core_without(instance, floats, most)) is not None:
            return found
    return None


def core_without(instance: Instance, floats: Bits, most: int) -> Core | None:
    """The core without some units; None where a block of it has more ideals than `most`."""
    inner = _core_instance(instance, floats)
    found = lattice(inner, most)
    return _core(instance, inner, found, floats) if found.complete else None


def _crowd(whole: Lattice) -> Ints:
    """Units of blocks with too many ideals."""
    incomplete = np.array([not complete for _, complete in whole.blocks.tables])
    return np.flatnonzero(incomplete[whole.blocks.shape][whole.home[0] - 1])


def _incomparable(instance: Instance, crowd: Ints) -> Bits:
    """[crowd, crowd] Which units may run in either order."""
    place = np.full(instance.units, -1)
    place[crowd] = np.arange(len(crowd))
    before = np.eye(len(crowd), dtype=bool)
    edges = place[instance.edges]
    edges = edges[(edges >= 0).all(axis=1)]
    after: list[list[int]] = [[] for _ in range(len(crowd))]
    pairs: list[list[int]] = edges.tolist()
    for one, other in pairs:
        after[other].append(one)
    for unit in _order(len(crowd), edges).tolist():
        if after[unit]:
            before[unit] |= before[after[unit]].any(axis=0)
    return ~(before | before.T)


def _order(count: int, edges: Ints) -> Ints:
    return topological(count, edges)


def _core_instance(instance: Instance, floats: Bits) -> Instance:
    """The instance without the floats: order runs through them, and so does at least one value."""
    kept = np.flatnonzero(~floats)
    number = np.full(instance.units, -1)
    number[kept] = np.arange(len(kept))
    readers, made = instance.readers, ~floats[instance.maker]
    inside = made[readers.item] & ~floats[readers.unit]
    values = np.flatnonzero(made)
    place = np.full(len(made), -1)
    place[values] = np.arange(len(values))
    through = _through(instance, floats)
    virtual = [(maker, unit, len(values) + count) for count, (maker, units, _) in enumerate(through) for unit in units]
    extra = np.array([(number[unit], item) for _, unit, item in virtual], np.int64).reshape(-1, 2)
    needed = ~floats[instance.needs.unit]

    def narrowed(channel: Channel) -> Channel:
        receive, send = (
            np.concatenate((amounts[values], [amounts[list(path)].min() for _, _, path in through]))
            for amounts in (channel.receive, channel.send)
        )
        return replace(channel, work=channel.work[kept], receive=receive, send=send)

    return replace(
        instance,
        edges=_edges(instance, floats, number),
        maker=np.concatenate((number[instance.maker[values]], [number[maker] for maker, _, _ in through])).astype(int),
        readers=Pairs(
            np.concatenate((number[readers.unit[inside]], extra[:, 0])),
            np.concatenate((place[readers.item[inside]], extra[:, 1])),
        ),
        needs=Pairs(number[instance.needs.unit[needed]], instance.needs.item[needed]),
        load=tuple(narrowed(channel) for channel in instance.load),
        caps=(),
        room=tuple(np.inf for _ in instance.room),
        held=narrowed(instance.held),
        value_bytes=np.zeros(len(values) + len(through)),
        working=instance.working[kept],
        is_simple=instance.is_simple[kept],
        nodes=instance.nodes[kept],
    )


def _edges(instance: Instance, floats: Bits, number: Ints) -> Ints:
    """[edges, 2] The order of the units that stay, also where it runs through floats."""
    before: dict[int, set[int]] = {int(unit): set() for unit in np.flatnonzero(floats)}
    found: set[tuple[int, int]] = set()
    edges = instance.edges
    rank = np.empty(instance.units, np.int64)
    rank[_order(instance.units, edges)] = np.arange(instance.units)
    for one, other in edges[np.argsort(rank[edges[:, 1]], kind="stable")].tolist():
        sources = before.get(one, {one})
        if other in before:
            before[other] |= sources
        else:
            found.update((int(number[source]), int(number[other])) for source in sources)
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def _through(instance: Instance, floats: Bits) -> list[tuple[int, set[int], set[int]]]:
    """Values that only floats read, and that alone feed these: maker, units beyond them, values on the way.

    A unit beyond that is not with the maker receives one of the values on the way, and the maker's stage sends one.
    """
    readers: dict[int, list[int]] = {}
    for unit, item in zip(instance.readers.unit.tolist(), instance.readers.item.tolist(), strict=True):
        readers.setdefault(item, []).append(unit)
    made: dict[int, list[int]] = {}
    reads: dict[int, list[int]] = {}
    for value, maker in enumerate(instance.maker.tolist()):
        made.setdefault(maker, []).append(value)
        for unit in readers.get(value, ()):
            reads.setdefault(unit, []).append(value)
    found: list[tuple[int, set[int], set[int]]] = []
    for value, maker in enumerate(instance.maker.tolist()):
        if not floats[maker] and readers.get(value) and floats[readers[value]].all():
            on_way, beyond, waiting = {value}, set[int](), [value]
            while waiting:
                for unit in readers.get(waiting.pop(), ()):
                    if not floats[unit]:
                        beyond.add(unit)
                        continue
                    new = [v for v in made.get(unit, ()) if v not in on_way]
                    on_way.update(new)
                    waiting.extend(new)
            inner = {int(instance.maker[v]) for v in on_way} - {maker}
            if beyond and all(v in on_way for unit in inner for v in reads[unit]):
                found.append((maker, beyond, on_way))
    return found


def _core(instance: Instance, inner: Instance, found: Lattice, floats: Bits) -> Core:
    """The floats' work by the ideals of the core in which it may be done, and must be."""
    kept, which = np.flatnonzero(~floats), np.flatnonzero(floats)
    work = instance.load[0].work[which]
    released, due = np.zeros(len(found)), np.zeros(len(found))
    for amount, (ancestors, descendants) in zip(work.tolist(), _families(instance, floats), strict=True):
        released += amount * _held(found, np.searchsorted(kept, ancestors)).all(axis=0)
        due += amount * _held(found, np.searchsorted(kept, descendants)).any(axis=0)
    return Core(instance=inner, lattice=found, work=work, released=released, due=due)


def _families(instance: Instance, floats: Bits) -> list[tuple[list[int], list[int]]]:
    """For each float the nearest units that stay before and after it."""
    ends: list[list[list[int]]] = []
    for source, target in ((1, 0), (0, 1)):
        next_to: dict[int, list[int]] = {}
        for pair in instance.edges.tolist():
            next_to.setdefault(pair[source], []).append(pair[target])
        found: list[list[int]] = []
        for unit in np.flatnonzero(floats).tolist():
            seen, waiting, reached = {unit}, [unit], set[int]()
            while waiting:
                for other in next_to.get(waiting.pop(), ()):
                    if not floats[other]:
                        reached.add(other)
                    elif other not in seen:
                        seen.add(other)
                        waiting.append(other)
            found.append(sorted(reached))
        ends.append(found)
    return list(zip(*ends, strict=True))


def _held(found: Lattice, units: Ints) -> Bits:
    """[units, ideals] Whether each ideal holds each unit."""
    return np.array([found.holding(unit) for unit in units.tolist()], bool).reshape(len(units), len(found))
