"""Batch and microbatches, chosen: every candidate is priced at its own size, memory included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from partwise.errors import InfeasibleError, InputError
from partwise.ir import Graph, contract
from partwise.planning.plan import plan
from partwise.planning.records import Blend, Limits, Objective, Plan
from partwise.planning.schedule.formula import Prediction, predict
from partwise.planning.schedule.record import ScheduleKind
from partwise.planning.schedule.times import StageTimes, stage_times, times_of_plan
from partwise.planning.terms import USUAL, Terms
from partwise.profiling import profile

__all__ = ["BatchChoice", "MicrobatchChoice", "best_batch", "best_microbatches", "plan_batch"]

_BATCH = "batch"  # what a graph calls that size
_MOST_TRIED = 4096  # batch of `best_batch`; assumed
_LARGEST = 2**20  # batch, and microbatches: nothing beyond was ever of use


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrobatchChoice:
    """A batch in so many microbatches."""

    size: int
    """Requests of a microbatch."""
    prediction: Prediction
    peak_bytes: int
    """Of the stage that needs most."""
    fits: bool
    """Whether every stage keeps its limits and its device's memory."""

    @property
    def requests_per_s(self) -> float:
        """Requests of the batch by its makespan."""
        whole = self.prediction.makespan_s
        return self.size * self.prediction.microbatches / whole if whole else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchChoice:
    """A batch size and the plan that is best for it."""

    size: int
    plan: Plan
    prediction: Prediction

    @property
    def requests_per_s(self) -> float:
        """Of an endless stream of such batches."""
        period = self.prediction.period_s
        return self.size / period if period else 0.0


def best_microbatches(
    made: Plan,
    batch: int,
    kind: ScheduleKind = ScheduleKind.GPIPE,
    *,
    backward: float | None = None,
) -> tuple[MicrobatchChoice, ...]:
    """All ways to run a batch through a plan in equal microbatches, the best one first.

    Those that fit come first, the shortest makespan among them, of equal ones the fewest microbatches. Memory is each
    stage's weights and liveness peak at the microbatch's size; values that wait between stages, and those that a
    training step keeps for its way back, are not counted.

    Args:
        made: whose stages are run.
        batch: requests in all.
        kind: the schedule.
        backward: see `times_of_plan`.

    Raises:
        InputError: the graph's batch size is fixed, or `batch` is below 1.
    """
    _check(made.graph, batch)
    found = [_split(made, batch // many, many, kind, backward) for many in _divisors(batch)]
    return tuple(sorted(found, key=lambda one: (not one.fits, one.prediction.makespan_s, one.prediction.microbatches)))


def best_batch(
    graph: Graph,
    limits: Limits,
    objectives: Sequence[Objective] | Blend = (),
    terms: Terms = USUAL,
    *,
    sizes: Mapping[str, int] | None = None,
) -> tuple[BatchChoice, ...]:
    """Batches of 1, 2, 4, … requests, each with its own plan, as far as they fit; the one with the highest throughput
    first, of equal ones the smallest.

    Args:
        graph: what is planned.
        limits: of every stage.
        objectives: of the plans.
        terms: of the plans.
        sizes: of the graph's other symbols.

    Raises:
        InfeasibleError: not even a batch of 1 fits.
        InputError: the graph's batch size is fixed.
    """
    _check(graph, 1)
    found: list[BatchChoice] = []
    size = 1
    while size <= _MOST_TRIED:
        try:
            counted = profile(graph, {**(sizes or {}), _BATCH: size})
            made = plan(graph, counted, limits, objectives, terms)
        except InfeasibleError:
            if not found:
                raise
            break
        found.append(BatchChoice(size=size, plan=made, prediction=predict(ScheduleKind.GPIPE, times_of_plan(made), 1)))
        size *= 2
    return tuple(sorted(found, key=lambda one: (-one.requests_per_s, one.size)))


def plan_batch(
    graph: Graph,
    limits: Limits,
    objectives: Sequence[Objective] | Blend = (),
    terms: Terms = USUAL,
    *,
    sizes: Mapping[str, int] | None = None,
) -> Plan:
    """The plan of the batch with the highest throughput, with a note on it.

    Args:
        graph: what is planned.
        limits: of every stage.
        objectives: of the plans; by default those of `plan`.
        terms: of the plans.
        sizes: of the graph's other symbols.

    Raises:
        InfeasibleError: not even a batch of 1 fits.
        InputError: the graph's batch size is fixed.
    """
    found = best_batch(graph, limits, objectives, terms, sizes=sizes)
    best, most = found[0], max(one.size for one in found)
    note = f"batch {best.size}, of 1, 2, 4 … {most}, has the most requests a second: {best.requests_per_s:.4g}"
    return replace(best.plan, notes=(*best.plan.notes, note))


def _check(graph: Graph, batch: int) -> None:
    if _BATCH not in graph.hints:
        known = ", ".join(sorted(graph.hints)) or "none: its sizes are fixed"
        raise InputError(f"size `{_BATCH}`", "the graph has no such symbol", expected=known)
    if not 1 <= batch <= _LARGEST:
        raise InputError("batch", "is out of range", expected=f"1 to {_LARGEST}", got=batch)


def _split(made: Plan, size: int, many: int, kind: ScheduleKind, backward: float | None) -> MicrobatchChoice:
    costs, contraction = profile(made.graph, {**made.sizes, _BATCH: size}), contract(made.graph)
    evaluator = Terms.of(made).evaluator(contraction, costs)
    names = [stage.device for stage in made.stages]
    stages, cuts = evaluator.price(tuple(stage.nodes for stage in made.stages), names)
    times: tuple[StageTimes, ...] = stage_times(stages, cuts, made.graph, costs.sizes, made.cluster, backward=backward)
    return MicrobatchChoice(
        size=size,
        prediction=predict(kind, times, many),
        peak_bytes=max(stage.peak_bytes for stage in stages),
        fits=not evaluator.overfull(stages, made.limits) and not evaluator.overfilled(stages),
    )


def _divisors(number: int) -> Iterator[int]:
    return (each for each in range(1, number + 1) if number % each == 0)
