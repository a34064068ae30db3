"""How long a pipeline takes, without running it: longest paths through its tasks.

With loads p (what a task keeps its stage) and lags (from a task's start at a sender to its earliest start at a
receiver), microbatch i starts at stage s at max(start(s, i−1) + p_s, start(r, i) + lag_rs for each sender r). All
microbatches are equal, so a longest path goes once through some stages and spends its steps from one microbatch to
the next at one of them, the one with the largest load:

    forward(m) = max over stages i of (longest path through i) + (m − 1)·p_i

**Source**: the permutation flow shop of equal jobs (Pinedo, "Scheduling", proportionate flow shops), with time lags;
here for any acyclic net of stages. `timeline` knows none of this, and agrees (property test).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from partwise.planning.schedule.record import ScheduleKind, make_schedule
from partwise.planning.schedule.simulate import simulate
from partwise.planning.schedule.times import PassTimes, StageTimes

__all__ = ["Prediction", "bubble", "latency", "makespan", "makespan_range", "period", "predict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a plan does with so many microbatches."""

    schedule: str
    microbatches: int
    makespan_s: float
    """From the first microbatch's start to the last one's end."""
    period_s: float
    """Between two microbatches of an endless stream."""
    latency_s: float
    """Of one microbatch alone."""
    bubble: float
    """Share of the stages' time in which they do nothing."""


def predict(kind: ScheduleKind, times: Sequence[StageTimes], microbatches: int) -> Prediction:
    """What a pipeline does under a schedule.

    Raises:
        InputError: less than one microbatch; `1f1b` without backward times.
    """
    whole = makespan(kind, times, microbatches)
    return Prediction(
        schedule=kind.value,
        microbatches=microbatches,
        makespan_s=whole,
        period_s=period(kind, times),
        latency_s=latency(times),
        bubble=bubble(times, microbatches, whole),
    )


def latency(times: Sequence[StageTimes]) -> float:
    """One microbatch alone, forward and backward [s]."""
    return _both_ways(times, 1)


def period(kind: ScheduleKind, times: Sequence[StageTimes]) -> float:
    """What one more microbatch adds to a long stream [s].

    GPipe: the largest forward load and the largest backward load, which may be at two stages. 1F1B: the largest sum
    of both; no round through stage s and those after it, which holds S − s microbatches, takes more on average.
    """
    match kind:
        case ScheduleKind.ONE_IN_FLIGHT:
            return latency(times)
        case ScheduleKind.GPIPE:
            return max(s.forward.load_s for s in times) + max(s.backward.load_s if s.backward else 0.0 for s in times)
        case ScheduleKind.ONE_F_ONE_B:
            return max(stage.load_s for stage in times)


def makespan(kind: ScheduleKind, times: Sequence[StageTimes], microbatches: int) -> float:
    """From the first microbatch's start to the last one's end [s]; of `1f1b`, which has no formula, by running it.

    Raises:
        InputError: less than one microbatch; `1f1b` without backward times.
    """
    backward = times[0].backward is not None
    schedule = make_schedule(kind, len(times), microbatches, backward=backward)
    match kind:
        case ScheduleKind.ONE_IN_FLIGHT:
            return microbatches * latency(times)
        case ScheduleKind.GPIPE:
            return _both_ways(times, microbatches)
        case ScheduleKind.ONE_F_ONE_B:
            return simulate(schedule, times).makespan_s


def makespan_range(times: Sequence[StageTimes], microbatches: int) -> tuple[float, float]:
    """Between what and what the makespan of `1f1b` lies [s]; both are it where all stages are alike and links free."""
    return max(microbatches * stage.load_s for stage in times), _both_ways(times, microbatches)


def limited_makespan(times: Sequence[StageTimes], microbatches: int, in_flight: int) -> float:
    """Forward only, with so many microbatches under way at most [s].

    A path may go from a microbatch's end to the start of the one `in_flight` later. forward(m) is convex in m, so
    the longest path does that never, or as often as it can.
    """
    again = (microbatches - 1) // in_flight
    one, rest = _both_ways(times, 1), _both_ways(times, microbatches - again * in_flight)
    return max(_both_ways(times, microbatches), again * one + rest)


def bubble(times: Sequence[StageTimes], microbatches: int, makespan_s: float) -> float:
    """Share of the stages' time in which they do nothing. Alike stages, free links: (S − 1) / (m + S − 1)."""
    whole = makespan_s * len(times)
    return 1 - microbatches * sum(stage.load_s for stage in times) / whole if whole else 0.0


def _both_ways(times: Sequence[StageTimes], microbatches: int) -> float:
    """All forward tasks, then all backward ones [s].

    Each path to the end leaves the forward tasks at one stage: with its last forward task, which its first backward
    task follows.
    """
    forward = [stage.forward for stage in times]
    ends = _longest(forward, range(len(times)), microbatches)
    back = [stage.backward for stage in times if stage.backward is not None]
    if not back:
        return max(ends)
    return max(_longest(back, range(len(times))[::-1], microbatches, dict(enumerate(ends))))


def _longest(
    tasks: Sequence[PassTimes], order: Sequence[int], microbatches: int, ready: Mapping[int, float] | None = None
) -> list[float]:
    """[stages] When each ends its last microbatch [s].

    Args:
        tasks: of one direction.
        order: senders before receivers.
        microbatches: how many.
        ready: when each stage may start; None: at 0.
    """
    lag: dict[tuple[int, int], float] = {}
    for stage in order:
        taken = 0.0
        for sender, seconds in tasks[stage].receive_s.items():
            taken += seconds
            lag[sender, stage] = tasks[sender].load_s - taken
    found = [-inf] * len(tasks)
    for widest in order:
        steps = (microbatches - 1) * tasks[widest].load_s
        start = _starts(tasks, order, lag, lambda stage: ready[stage] if ready else 0.0)
        path = {widest: start[widest] + steps}
        for stage in order:
            given = [path[r] + lag[r, stage] for r in tasks[stage].receive_s if r in path]
            if given:
                path[stage] = max([*given, *([path[stage]] if stage in path else [])])
            if stage in path:
                found[stage] = max(found[stage], path[stage] + tasks[stage].load_s)
    return found


def _starts(
    tasks: Sequence[PassTimes],
    order: Sequence[int],
    lag: Mapping[tuple[int, int], float],
    ready: Callable[[int], float],
) -> dict[int, float]:
    """When each stage starts its first microbatch [s]."""
    found: dict[int, float] = {}
    for stage in order:
        found[stage] = max([ready(stage), *(found[sender] + lag[sender, stage] for sender in tasks[stage].receive_s)])
    return found
