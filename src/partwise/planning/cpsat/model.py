"""A placement problem in the solver's words: a variable says whether a unit is on a device.

What a device pays for a value that crosses is a variable too, true as soon as the value's maker and a reader are
not on one side. Devices of one type are told apart by rules that forbid all their orders but one:
where stages are in a line, equal devices come in it in the order of their numbers; else they do by the first unit
that they hold, the heaviest units coming first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, permutations, product
from typing import Any

import numpy as np

from partwise.extras import require
from partwise.planning.cpsat.price import Crossings, Homes
from partwise.planning.cpsat.scale import Scale
from partwise.planning.ideals import Channel, Instance

__all__ = ["Model", "kinds_of", "named"]

_NEVER = 1e17  # a unit with more work than this on a device cannot run there (see `Instance.load`)
_RANKED = 40  # heaviest units that tell equal devices apart; more of them cost more than they save (measured, bert_l-6)


def kinds_of(instance: Instance) -> list[int]:
    """[devices] The type of each device."""
    return [kind for kind, count in enumerate(instance.counts) for _ in range(count)]


def named(instance: Instance, homes: Homes) -> list[int]:
    """The same placement with equal devices numbered by the first unit that they hold, as the model wants them."""
    kinds, new = kinds_of(instance), dict[int, int]()
    free = {kind: [device for device, k in enumerate(kinds) if k == kind][::-1] for kind in kinds}
    for unit in _by_weight(instance):
        if homes[unit] not in new:
            new[homes[unit]] = free[kinds[homes[unit]]].pop()
    return [new[home] for home in homes]


def _by_weight(instance: Instance) -> list[int]:
    return np.argsort(-instance.load[0].work, kind="stable").tolist()


class Model:
    """One model under construction.

    Attributes:
        model: the solver's own.
        homes: [units][devices] whether a unit is there.
        before: for two devices whether the first one's stage comes first; empty where stages are in no line.
    """

    def __init__(self, instance: Instance, crossings: Crossings, hint: Homes | None, order: Sequence[int] = ()) -> None:
        """Units on devices, nothing paid yet.

        Args:
            instance: what is placed.
            crossings: of the instance.
            hint: [units] a placement to start from, named as `named` does, or in line as `order` says.
            order: all devices as their stages stand in line; empty: any set of units may be on a device.
        """
        self.instance, self.crossings, self.kinds = instance, crossings, kinds_of(instance)
        self.model: Any = require("ortools.sat.python.cp_model").CpModel()
        self._hint = hint
        self._made: dict[tuple[str, int, int], Any] = {}
        self.homes = [[self._bool(self._guess(unit, device)) for device in self._devices] for unit in self._units]
        for unit in self._units:
            self.model.add_exactly_one(self.homes[unit])
            for device, kind in enumerate(self.kinds):
                if instance.load[kind].work[unit] >= _NEVER:
                    self.model.add(self.homes[unit][device] == 0)
        self.before: dict[tuple[int, int], Any] = {}
        if order:
            self._line_up(order)
        else:
            self._tell_apart()
        if instance.exactly is not None:
            self.model.add(sum(self._used(device) for device in self._devices) == instance.exactly)

    @property
    def _units(self) -> range:
        return range(self.instance.units)

    @property
    def _devices(self) -> range:
        return range(len(self.kinds))

    def paid(self, channel: Channel, device: int, scale: Scale) -> tuple[list[Any], list[int]]:
        """Variables and their amounts that a device pays."""
        terms = [(self.homes[unit][device], scale.integer(amount)) for unit, amount in enumerate(channel.work.tolist())]
        for value, readers in enumerate(self.crossings.readers):
            if readers:
                amounts = scale.integer(float(channel.receive[value])), scale.integer(float(channel.send[value]))
                terms += self._crossing(value, device, *amounts)
        for item, users in enumerate(self.crossings.users):
            if users and (amount := scale.integer(float(channel.again[item]))):
                homes = [self.homes[unit][device] for unit in users]
                terms.append((self._any("item", item, device, homes, users), amount))
        if amount := scale.integer(channel.fixed):
            terms.append((self._used(device), amount))
        kept = [(variable, amount) for variable, amount in terms if amount]
        return [variable for variable, _ in kept], [amount for _, amount in kept]

    def forbid(self, units: Iterable[int], kind: int) -> None:
        """No device of a type holds exactly these units."""
        chosen = set(units)
        for device in (d for d in self._devices if self.kinds[d] == kind):
            homes = [row[device] for row in self.homes]
            self.model.add_bool_or([home.negated() if unit in chosen else home for unit, home in enumerate(homes)])

    def at_least(self, sizes: Sequence[int], device: int, most: int) -> Any:
        """A number no smaller than the size of any unit that a device holds."""
        found = self.model.new_int_var(0, most, "")
        for unit, size in enumerate(sizes):
            if size:
                self.model.add(found >= min(size, most + 1)).only_enforce_if(self.homes[unit][device])
        return found

    def _bool(self, guess: bool | None) -> Any:
        made = self.model.new_bool_var("")
        if guess is not None:
            self.model.add_hint(made, int(guess))
        return made

    def _guess(self, unit: int, device: int) -> bool | None:
        return None if self._hint is None else self._hint[unit] == device

    def _held(self, units: Iterable[int], device: int) -> bool | None:
        """Whether the hint has any of some units on a device."""
        return None if self._hint is None else any(self._hint[unit] == device for unit in units)

    def _kept(self, name: str, thing: int, device: int, make: Callable[[], Any]) -> Any:
        key = (name, thing, device)
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def _any(self, name: str, thing: int, device: int, homes: Sequence[Any], units: Sequence[int]) -> Any:
        """Whether any of some units is on a device."""

        def make() -> Any:
            made = self._bool(self._held(units, device))
            self.model.add_max_equality(made, homes)
            return made

        return self._kept(name, thing, device, make)

    def _used(self, device: int) -> Any:
        return self._any("used", 0, device, [row[device] for row in self.homes], self._units)

    def _crossing(self, value: int, device: int, receive: int, send: int) -> Iterable[tuple[Any, int]]:
        """What a device pays for one value: at most one of the two, so equal amounts share a variable."""
        if receive == send:
            return [(self._side(value, device, receives=True, sends=True), receive)] if receive else []
        found: list[tuple[Any, int]] = []
        if receive:
            found.append((self._side(value, device, receives=True, sends=False), receive))
        if send:
            found.append((self._side(value, device, receives=False, sends=True), send))
        return found

    def _side(self, value: int, device: int, *, receives: bool, sends: bool) -> Any:
        """Whether a device receives, or sends, or does either with a value."""
        maker, readers = int(self.instance.maker[value]), self.crossings.readers[value]
        made_here, read_here = self.homes[maker][device], [self.homes[unit][device] for unit in readers]

        def make() -> Any:
            made = self._bool(self._crosses(maker, readers, device, receives, sends))
            for read in read_here:
                if receives:
                    self.model.add_bool_or([made, made_here, read.negated()])
                if sends:
                    self.model.add_bool_or([made, made_here.negated(), read])
            self.model.add_bool_or([made.negated(), made_here, *(read_here if receives else ())])
            self.model.add_bool_or([made.negated(), made_here.negated(), *(r.negated() for r in read_here if sends)])
            return made

        return self._kept(f"{receives}{sends}", value, device, make)

    def _crosses(self, maker: int, readers: Sequence[int], device: int, receives: bool, sends: bool) -> bool | None:
        if self._hint is None:
            return None
        if self._hint[maker] == device:
            return sends and any(self._hint[unit] != device for unit in readers)
        return receives and any(self._hint[unit] == device for unit in readers)

    def _tell_apart(self) -> None:
        """A device may hold a unit only if the equal one before it holds a heavier one."""
        ranked = _by_weight(self.instance)[:_RANKED]
        for one, other in zip(self._devices, self._devices[1:], strict=False):
            if self.kinds[one] == self.kinds[other]:
                for place, unit in enumerate(ranked):
                    heavier = [self.homes[each][one] for each in ranked[:place]]
                    self.model.add_bool_or([self.homes[unit][other].negated(), *heavier])

    def _line_up(self, order: Sequence[int]) -> None:
        """All devices in one line, in which no edge goes back."""
        rank = {device: place for place, device in enumerate(order)}
        for one, other in combinations(self._devices, 2):
            if self.kinds[one] == self.kinds[other]:
                self.before[one, other] = self.model.new_constant(1)
            else:
                self.before[one, other] = self._bool(None if self._hint is None else rank[one] < rank[other])
            self.before[other, one] = self.before[one, other].negated()
        for one, other, third in permutations(self._devices, 3):
            self.model.add_bool_or([self.before[one, third], self.before[other, one], self.before[third, other]])
        for source, target in self.instance.edges.tolist():
            self._go_forward(source, target)

    def _go_forward(self, source: int, target: int) -> None:
        """An edge's second unit is on no device before the first one's."""
        for kind in set(self.kinds):
            devices = [device for device in self._devices if self.kinds[device] == kind]
            for cut in range(1, len(devices)):
                behind = [self.homes[source][device] for device in devices[cut:]]
                self.model.add_at_most_one([*behind, *(self.homes[target][device] for device in devices[:cut])])
        for one, other in product(self._devices, repeat=2):
            if self.kinds[one] != self.kinds[other]:
                pair = self.homes[source][one].negated(), self.homes[target][other].negated()
                self.model.add_bool_or([*pair, self.before[one, other]])
