"""The schedule as a plain function: events in, instructions out."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partwise.errors import RunError
from partwise.runtime.route import CALLER, Route
from partwise.runtime.schedule import (
    Answer,
    Collect,
    Compute,
    Ended,
    Fetch,
    Finished,
    Instruction,
    Offered,
    Release,
    Schedule,
)  # fmt: skip

LINE = Route(received=({CALLER: ("x",)}, {0: ("a",)}), returned=((), ("b",)))
DIAMOND = Route(
    received=({CALLER: ("x",)}, {0: ("a",)}, {0: ("b",)}, {1: ("c",), 2: ("d",), CALLER: ("m",)}),
    returned=((), (), (), ("y",)),
)


def test_a_request_walks_down_a_line() -> None:
    schedule = Schedule(LINE)
    assert schedule.begin() == [Fetch()]
    assert schedule.handle(Offered(0)) == [Compute(0, 0)]
    assert schedule.handle(Finished(0, 0)) == [Release(0, CALLER), Compute(0, 1)]
    assert schedule.handle(Finished(0, 1)) == [Collect(0, 1), Release(0, 0), Release(0, 1), Answer(0), Fetch()]
    assert not schedule.done
    assert schedule.handle(Ended()) == []
    assert schedule.done


def test_a_join_waits_for_all_its_senders() -> None:
    schedule = Schedule(DIAMOND)
    schedule.begin()
    schedule.handle(Offered(0))
    assert schedule.handle(Finished(0, 0)) == [Compute(0, 1), Compute(0, 2)]
    assert schedule.handle(Finished(0, 2)) == []
    found = schedule.handle(Finished(0, 1))
    assert Compute(0, 3) in found
    assert Release(0, 0) in found


def test_requests_are_pipelined_up_to_the_limit() -> None:
    schedule = Schedule(LINE, in_flight=2)
    schedule.begin()
    assert schedule.handle(Offered(0)) == [Compute(0, 0), Fetch()]
    assert schedule.handle(Offered(1)) == []
    assert schedule.handle(Finished(0, 0)) == [Release(0, CALLER), Compute(0, 1), Compute(1, 0)]
    assert schedule.handle(Finished(0, 1))[-1] == Fetch()


def test_a_queue_puts_the_next_task_beside_the_stage() -> None:
    schedule = Schedule(LINE, in_flight=3, queue=2)
    schedule.begin()
    assert schedule.handle(Offered(0)) == [Compute(0, 0), Fetch()]
    assert schedule.handle(Offered(1)) == [Compute(1, 0), Fetch()]
    assert schedule.handle(Offered(2)) == []


def test_a_stage_without_inputs_starts_with_the_request() -> None:
    schedule = Schedule(Route(received=({}, {0: ("a",)}), returned=((), ("b",))))
    schedule.begin()
    assert schedule.handle(Offered(0)) == [Compute(0, 0)]


@pytest.mark.parametrize("event", [Finished(0, 0), Finished(0, 9), Offered(1)])
def test_what_cannot_have_happened_is_refused(event: Finished | Offered) -> None:
    schedule = Schedule(LINE)
    schedule.begin()
    with pytest.raises(RunError):
        schedule.handle(event)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """Any acyclic package: each stage receives from some earlier ones and perhaps the caller."""
    stages = draw(st.integers(1, 7))
    received = tuple(
        {s: (f"t{s}",) for s in draw(st.lists(st.integers(CALLER, stage - 1), unique=True))} for stage in range(stages)
    )
    returned = [("y",) if draw(st.booleans()) else () for _ in range(stages)]
    return Route(received=received, returned=(*returned[:-1], ("z",)))


@given(routes(), st.integers(0, 12), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**32))
def test_no_task_is_lost_or_done_twice(route: Route, count: int, in_flight: int, queue: int, seed: int) -> None:
    schedule, chance = Schedule(route, in_flight=in_flight, queue=queue), Random(seed)
    todo: list[Instruction] = schedule.begin()
    running: list[Compute] = []
    offered, answered, underway = 0, list[int](), 0
    seen: Counter[Instruction] = Counter()
    while todo or running:
        if not todo:  # any running task may be the next to finish
            task = running.pop(chance.randrange(len(running)))
            todo += schedule.handle(Finished(task.request, task.stage))
            continue
        instruction = todo.pop(0)
        if instruction != Fetch():
            seen[instruction] += 1
        match instruction:
            case Fetch() if offered < count:
                offered, underway = offered + 1, underway + 1
                todo += schedule.handle(Offered(offered - 1))
            case Fetch():
                todo += schedule.handle(Ended())
            case Compute():
                running.append(instruction)
                assert sum(task.stage == instruction.stage for task in running) <= queue
            case Answer(request):
                underway -= 1
                answered.append(request)
            case _:
                pass
        assert underway <= in_flight
    assert schedule.done
    assert sorted(answered) == list(range(count))
    assert max(seen.values(), default=0) <= 1
    kinds = Counter(type(instruction) for instruction in seen)
    assert kinds[Compute] == count * route.stages
    senders = sum(bool(route.readers(sender)) or sender != CALLER for sender in range(CALLER, route.stages))
    assert kinds[Release] == count * senders
    assert kinds[Collect] == count * sum(map(bool, route.returned))
