"""Schedules: formulas against timelines, on random chains and nets of stages; what is printed is what is read."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partwise.planning.schedule import (
    PassTimes,
    Schedule,
    ScheduleKind,
    StageTimes,
    Task,
    even_times,
    faults,
    format_schedule,
    latency,
    make_schedule,
    makespan,
    makespan_range,
    parse_schedule,
    period,
    predict,
    simulate,
)
from partwise.planning.schedule.formula import limited_makespan

seeds, counts, microbatches = st.integers(0, 100_000), st.integers(1, 6), st.integers(1, 9)
kinds = st.sampled_from(ScheduleKind)


def random_times(seed: int, stages: int, *, backward: bool, chain: bool = False) -> list[StageTimes]:
    """Times of a random net of stages, whose values go forward only; some stages may receive nothing."""
    random = Random(seed)

    def amount() -> float:
        return random.choice((0.0, random.random(), float(random.randint(1, 5))))

    pairs = [(a, b) for a, b in product(range(stages), repeat=2) if a < b]
    linked = [(a, b) for a, b in pairs if b == a + 1 or (not chain and random.random() < 0.4)]
    if not chain:
        linked = [pair for pair in linked if random.random() < 0.8]
    moved = {pair: amount() for pair in linked}
    shared = [random.uniform(0.5, 1) if not chain else 1.0 for _ in range(stages)]  # a value sent once to several
    made: list[StageTimes] = []
    for stage in range(stages):
        received = {a: seconds for (a, b), seconds in moved.items() if b == stage}
        sent = {b: seconds for (a, b), seconds in moved.items() if a == stage}
        most = max(sent.values(), default=0.0)
        once = max(most, shared[stage] * sum(sent.values()))
        forward = PassTimes(compute_s=amount(), receive_s=received, send_s=once)
        back = PassTimes(compute_s=amount(), receive_s=sent, send_s=sum(received.values()))
        made.append(StageTimes(forward=forward, backward=back if backward else None))
    return made


@settings(max_examples=400, deadline=None)
@given(seeds, counts, microbatches, st.sampled_from((ScheduleKind.GPIPE, ScheduleKind.ONE_IN_FLIGHT)), st.booleans())
def test_the_formula_is_the_timeline(seed: int, stages: int, many: int, kind: ScheduleKind, backward: bool) -> None:
    times = random_times(seed, stages, backward=backward)
    line = simulate(make_schedule(kind, stages, many, backward=backward), times)
    found = predict(kind, times, many)
    assert found.makespan_s == pytest.approx(line.makespan_s, rel=1e-9, abs=1e-12)
    assert found.bubble == pytest.approx(line.bubble, abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(seeds, counts, microbatches, st.integers(1, 10))
def test_the_formula_with_so_many_in_flight(seed: int, stages: int, many: int, in_flight: int) -> None:
    times = random_times(seed, stages, backward=False)
    rows = tuple(tuple(Task(microbatch=number) for number in range(many)) for _ in range(stages))
    schedule = Schedule(name="limited", microbatches=many, stages=rows, in_flight=in_flight)
    line = simulate(schedule, times)
    assert limited_makespan(times, many, in_flight) == pytest.approx(line.makespan_s, rel=1e-9, abs=1e-12)
    if all(stage.load_s for stage in times):
        assert line.most_in_flight <= in_flight


@settings(max_examples=300, deadline=None)
@given(seeds, counts, microbatches)
def test_1f1b_lies_between(seed: int, stages: int, many: int) -> None:
    times = random_times(seed, stages, backward=True)
    least, most = makespan_range(times, many)
    assert least * (1 - 1e-9) <= makespan(ScheduleKind.ONE_F_ONE_B, times, many) <= most * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(seeds, counts, kinds)
def test_the_period_is_what_one_more_adds_in_the_end(seed: int, stages: int, kind: ScheduleKind) -> None:
    times = random_times(seed, stages, backward=True, chain=True)
    many = 60
    slope = (makespan(kind, times, 2 * many) - makespan(kind, times, many)) / many
    assert slope == pytest.approx(period(kind, times), rel=1e-9, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(seeds, counts, microbatches, st.floats(0.1, 5), st.floats(0.1, 5))
def test_alike_stages_have_the_known_bubble(seed: int, stages: int, many: int, there: float, back: float) -> None:
    del seed
    times = [
        StageTimes(
            forward=PassTimes(compute_s=there, receive_s=even.forward.receive_s),
            backward=PassTimes(compute_s=back, receive_s=even.backward.receive_s if even.backward else {}),
        )
        for even in even_times(stages, backward=True)
    ]
    for kind in (ScheduleKind.GPIPE, ScheduleKind.ONE_F_ONE_B):
        line = simulate(make_schedule(kind, stages, many, backward=True), times)
        assert line.makespan_s == pytest.approx((many + stages - 1) * (there + back))
        assert line.bubble == pytest.approx((stages - 1) / (many + stages - 1))


@settings(max_examples=100, deadline=None)
@given(counts, microbatches)
def test_1f1b_holds_fewer_microbatches_than_gpipe(stages: int, many: int) -> None:
    times = even_times(stages, backward=True)
    held = {
        kind: simulate(make_schedule(kind, stages, many, backward=True), times).most_in_flight for kind in ScheduleKind
    }
    assert held == {
        ScheduleKind.GPIPE: many,
        ScheduleKind.ONE_F_ONE_B: min(stages, many),
        ScheduleKind.ONE_IN_FLIGHT: 1,
    }


@settings(max_examples=200, deadline=None)
@given(kinds, counts, microbatches, st.booleans())
def test_every_schedule_made_runs_and_survives_its_text(
    kind: ScheduleKind, stages: int, many: int, backward: bool
) -> None:
    schedule = make_schedule(kind, stages, many, backward=backward or kind is ScheduleKind.ONE_F_ONE_B)
    assert not faults(schedule)
    assert parse_schedule(format_schedule(schedule)) == schedule
    assert latency(even_times(stages, backward=schedule.has_backward)) == stages * (1 + schedule.has_backward)
