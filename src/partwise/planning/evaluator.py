"""Judges every solver's answer in one way: prices, values, and which stages do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from partwise.hardware import Cluster
from partwise.ir import Contraction
from partwise.planning.price import Priced, measure, price
from partwise.planning.rates import RateTable
from partwise.planning.records import Cut, Limits, Objective, Stage

__all__ = ["Assignment", "Evaluator"]

Assignment = tuple[tuple[int, ...], ...]
"""For each stage its placed nodes, ascending."""


class Evaluator:
    """Prices of divisions of one graph on one cluster."""

    def __init__(self, contraction: Contraction, rates: RateTable) -> None:
        self.contraction, self.rates = contraction, rates
        self.profile, self.cluster = rates.profile, rates.cluster
        self._last: tuple[object, tuple[tuple[Stage, ...], tuple[Cut, ...]]] | None = None

    def on(self, cluster: Cluster) -> Evaluator:
        """The same graph on other members of the same devices."""
        return Evaluator(self.contraction, self.rates.on(cluster))

    def price(self, assignment: Assignment, devices: Sequence[str]) -> tuple[tuple[Stage, ...], tuple[Cut, ...]]:
        """Stages and cuts of a division whose stages are on these members."""
        asked = assignment, tuple(devices)
        if self._last is None or self._last[0] != asked:  # the last answer is mostly asked for again
            self._last = asked, price(self.contraction, self.rates, assignment, devices)
        return self._last[1]

    def values(
        self, assignment: Assignment, devices: Sequence[str], objectives: Sequence[Objective]
    ) -> tuple[float, ...]:
        """The value of each objective."""
        stages, cuts = self.price(assignment, devices)
        return self.measured(stages, cuts, objectives)

    def measured(
        self, stages: Sequence[Stage], cuts: Sequence[Cut], objectives: Sequence[Objective]
    ) -> tuple[float, ...]:
        """The value of each objective for priced stages and cuts."""
        graph, sizes = self.contraction.graph, self.profile.sizes
        priced = Priced(stages=stages, cuts=cuts, graph=graph, sizes=sizes, cluster=self.cluster)
        return tuple(measure(objective, priced) for objective in objectives)

    def moved(self, stages: Sequence[Stage], devices: Sequence[str]) -> tuple[Stage, ...]:
        """The same stages on other members of the same devices."""
        return tuple(replace(stage, device=name) for stage, name in zip(stages, devices, strict=True))

    def overfilled(self, stages: Sequence[Stage]) -> dict[str, int]:
        """The memory that members share in which stages need more than there is, and how much they need [bytes]."""
        need = self.cluster.pooled((stage.device, stage.peak_bytes) for stage in stages)
        return {pool: size for pool, size in need.items() if size > self.cluster.pools[pool]}

    def overfull(self, stages: Sequence[Stage], limits: Limits) -> list[int]:
        """The stages that need more memory than a limit or their device has; what devices share is left aside."""

        def room(stage: Stage) -> float:
            return min(limits.room_bytes, self.cluster.member(stage.device).room_bytes)

        return [stage.index for stage in stages if stage.peak_bytes > room(stage)]
