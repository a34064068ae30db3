"""The best placement that the solver finds in so many steps, and what none can beat."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

import numpy as np

from partwise.extras import require
from partwise.planning.cpsat.model import Model, kinds_of, named
from partwise.planning.cpsat.price import Crossings, Homes, loads, value_of
from partwise.planning.cpsat.scale import Scale
from partwise.planning.cpsat.simple import simple_bound
from partwise.planning.ideals import Answer, Channel, Instance, Placed
from partwise.planning.ideals.solve import Check

__all__ = ["Arrangement", "solve_cpsat"]

_ROUNDING = 1e-8  # relative; what the solver's integers lose (see `Scale`)
_STRATEGIES = ("quick_restart_no_lp", "max_lp")
"""Of the solver's, beside its neighbourhood searches, which get more turns the fewer there are. Measured on bert_l-6,
6 units of effort: 28.332 and bound 26.782; with its own choice of seven strategies 29.383 and 26.590."""
_RETRIES = 100  # placements that fit the lower estimates of memory, and turn out not to fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """The best placement found."""

    stages: tuple[Placed, ...]
    """Of a line in its order, else by device; devices that hold nothing left out. Empty where nothing was found."""
    value: float
    """Infinite where nothing was found."""
    bound: float
    """No placement of the class asked for is below; infinite where there is none at all."""

    @property
    def proved(self) -> bool:
        """Whether nothing is better by more than rounding (1e-8 of the value), or nothing keeps the limits."""
        return self.value <= self.bound * (1 + _ROUNDING)


def solve_cpsat(
    instance: Instance,
    *,
    contiguous: bool,
    hint: Answer | None = None,
    effort: int = 10,
    check: Check | None = None,
) -> Arrangement:
    """The placement with the smallest value found.

    Memory is limited by what holds in whatever order the units of a device run: the weights, and each unit's inputs
    and outputs; in a line also what a stage receives and what it sends.

    Args:
        instance: what is placed.
        contiguous: stages in a line, no edge back; else a device may hold any units.
        hint: a placement to start from; the answer is never worse.
        effort: in units of the solver's deterministic time, each some 1 to 5 s of one core.
        check: finds stages that do not fit after all; None: the estimate is exact.

    Raises:
        MissingExtraError: OR-Tools is not installed.
    """
    search = _Search(instance, contiguous, check)
    start = None if hint is None or search.broken(hint.stages) else hint.stages
    best = Arrangement(stages=(), value=inf, bound=simple_bound(instance))
    if start is not None:
        homes, order = search.placed(start)
        value = search.value(homes)
        best = Arrangement(stages=tuple(start), value=value, bound=simple_bound(instance, value))
        return search.run(best, effort, named(instance, homes) if not contiguous else homes, order)
    return search.run(best, effort, None, kinds_of(instance))


class _Search:
    """One question to the solver, repeated while its answers do not fit."""

    def __init__(self, instance: Instance, contiguous: bool, check: Check | None) -> None:
        self.instance, self.contiguous, self._check = instance, contiguous, check
        self._crossings, self._kinds = Crossings.of(instance), kinds_of(instance)
        self._forbidden: list[Placed] = []

    def run(self, best: Arrangement, effort: int, hint: Homes | None, order: Sequence[int]) -> Arrangement:
        """The answer.

        Args:
            best: what is known before.
            effort: in the solver's deterministic time.
            hint: [units] the device of each in the best placement known.
            order: all devices, as they stand in line in it.
        """
        left = float(effort)
        for _ in range(_RETRIES):
            model, scale = self._model(best, hint, order)
            solver, status = _solve(model, left)
            if status == "INFEASIBLE":
                return replace(best, bound=best.value)  # nothing up to the best known value, or nothing at all
            best = replace(best, bound=min(best.value, max(best.bound, scale.real(solver.best_objective_bound))))
            if status == "UNKNOWN":
                return best
            homes = [row.index(True) for row in ([bool(solver.value(each)) for each in row] for row in model.homes)]
            stages = self._stages(homes, self._line(model, solver))
            left = max(left - _spent(solver), effort / 10)
            if broken := self.broken(stages):
                self._forbidden += [stages[index] for index in broken]
                continue
            found = self._better(best, stages, self.value(homes))
            if status != "OPTIMAL" or found.proved or found.value >= best.value:
                return found
            homes, order = self.placed(stages)  # the integers were too coarse for so small a value: again, finer
            best, hint = found, homes if self.contiguous else named(self.instance, homes)
        return best

    def value(self, homes: Homes) -> float:
        """The exact value of a placement."""
        return value_of(self.instance, self._crossings, self._kinds, homes)

    def placed(self, stages: Sequence[Placed]) -> tuple[list[int], list[int]]:
        """[units] The device of each, and all devices as the stages stand in line, empty ones last."""
        free = {kind: [d for d, k in enumerate(self._kinds) if k == kind][::-1] for kind in self._kinds}
        order = [free[stage.kind].pop() for stage in stages]
        homes = [0] * self.instance.units
        for device, stage in zip(order, stages, strict=True):
            for unit in stage.units:
                homes[unit] = device
        return homes, [*order, *(device for devices in free.values() for device in reversed(devices))]

    def broken(self, stages: Sequence[Placed]) -> Collection[int]:
        """Which stages break a cap, a device's memory or the check."""
        homes, order = self.placed(stages)
        over: set[int] = set()
        caps = [(cap.load, (cap.limit,) * len(self.instance.counts)) for cap in self.instance.caps]
        held = (self.instance.held,) * len(self.instance.counts)
        for channels, limits in (*caps, (held, self.instance.room)):
            paid = loads(self.instance, self._crossings, [channels[kind] for kind in self._kinds], homes)
            over.update(place for place, stage in enumerate(stages) if paid[order[place]] > limits[stage.kind])
        return sorted(over) or (self._check(stages) if self._check else ())

    def _better(self, best: Arrangement, stages: tuple[Placed, ...], value: float) -> Arrangement:
        if value > best.value:  # by rounding alone
            return best
        return Arrangement(stages=stages, value=value, bound=min(best.bound, value))

    def _stages(self, homes: Homes, order: Sequence[int]) -> tuple[Placed, ...]:
        held = [tuple(unit for unit, home in enumerate(homes) if home == device) for device in range(len(self._kinds))]
        return tuple(Placed(kind=self._kinds[device], units=held[device]) for device in order if held[device])

    def _line(self, model: Model, solver: Any) -> list[int]:
        """All devices in line; by number where there is none."""
        earlier = dict.fromkeys(range(len(self._kinds)), 0)
        for (_, other), before in model.before.items():
            earlier[other] += bool(solver.value(before))
        return sorted(earlier, key=lambda device: earlier[device])

    def _model(self, best: Arrangement, hint: Homes | None, order: Sequence[int]) -> tuple[Model, Scale]:
        """The model whose answers are no worse than the best known, and the scale of its objective."""
        instance = self.instance
        made = Model(instance, self._crossings, hint, order if self.contiguous else ())
        most = best.value if isfinite(best.value) else _most(instance)
        scale = Scale.up_to(most, instance.load)
        total = made.model.new_int_var(scale.integer(min(best.bound, most)), scale.limit, "")
        if isfinite(best.value):
            made.model.add_hint(total, scale.limit)
        paid = [made.paid(instance.load[kind], device, scale) for device, kind in enumerate(self._kinds)]
        if instance.adds:
            made.model.add(_sum([v for each, _ in paid for v in each], [a for _, each in paid for a in each]) <= total)
        else:
            for variables, amounts in paid:
                made.model.add(_sum(variables, amounts) <= total)
        made.model.minimize(total)
        for device, kind in enumerate(self._kinds):
            self._limit(made, device, kind)
        for stage in self._forbidden:
            made.forbid(stage.units, stage.kind)
        return made, scale

    def _limit(self, made: Model, device: int, kind: int) -> None:
        """The caps and the memory of one device."""
        for cap in self.instance.caps:
            channel = cap.load[kind]
            scale = Scale.up_to(cap.limit, [channel])
            made.model.add(_sum(*made.paid(channel, device, scale)) <= scale.limit)
        if isfinite(room := self.instance.room[kind]):
            held = self.instance.held
            scale = Scale.up_to(room, [held])  # bytes: whole numbers
            variables, amounts = made.paid(held, device, scale)
            for active in self._active(made, device, scale):
                made.model.add(_sum(variables, amounts) + active <= scale.limit)

    def _active(self, made: Model, device: int, scale: Scale) -> Iterator[Any]:
        """Bytes beside the weights, each a lower estimate."""
        working = [scale.integer(size) for size in self.instance.working.tolist()]
        yield made.at_least(working, device, scale.limit) if any(working) else 0
        if self.contiguous and self.instance.value_bytes.any():
            for ends in ((1, 0), (0, 1)):
                yield _sum(*made.paid(self._passing(*ends), device, scale))

    def _passing(self, receive: int, send: int) -> Channel:
        """Bytes received or sent."""
        size, units = self.instance.value_bytes, np.zeros(self.instance.units)
        return Channel(work=units, receive=size * receive, send=size * send, again=self.instance.held.again * 0)


def _most(instance: Instance) -> float:
    """More than any value: everything on every device at once, as slow as it gets where it runs at all."""
    found = sum(
        float(channel.work[channel.work < 1e17].sum() + channel.receive.sum() + channel.send.sum())
        + float(channel.again.sum() + channel.fixed)
        for channel in instance.load
    )
    return found * (sum(instance.counts) if instance.adds else 1)


def _solve(model: Model, effort: float) -> tuple[Any, str]:
    """The solver after its search, and how that ended."""
    solver = require("ortools.sat.python.cp_model").CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.interleave_search = True  # strategies in turn: find and prove more than one alone (measured)
    solver.parameters.subsolvers.extend(_STRATEGIES)
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = effort
    status = solver.solve(model.model)
    return solver, solver.status_name(status)


def _spent(solver: Any) -> float:
    return float(solver.response_proto.deterministic_time)


def _sum(variables: Sequence[Any], amounts: Sequence[int]) -> Any:
    expression: Any = require("ortools.sat.python.cp_model").LinearExpr
    return expression.weighted_sum(variables, amounts)
