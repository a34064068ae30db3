"""The schedule as a plain function: events in, instructions out."""

from __future__ import annotations

import pytest

from partwise.errors import RunError
from partwise.runtime.route import CALLER, Piece, Route
from partwise.runtime.schedule import (
    Abandon,
    Answer,
    Capacity,
    Collect,
    Compute,
    Demand,
    Discard,
    Divide,
    Divided,
    Ended,
    Event,
    Failed,
    Fault,
    Fetch,
    Finished,
    GiveUp,
    Heard,
    Indivisible,
    Instruction,
    Joined,
    Load,
    Loaded,
    Lost,
    Offered,
    Ping,
    Policy,
    Refused,
    Release,
    Schedule,
    Start,
    Stop,
    Unload,
    Wake,
    Woke,
)

LINE = Route(received=({CALLER: ("x",)}, {0: ("a",)}), returned=((), ("b",)))
DIAMOND = Route(
    received=({CALLER: ("x",)}, {0: ("a",)}, {0: ("b",)}, {1: ("c",), 2: ("d",), CALLER: ("m",)}),
    returned=((), (), (), ("y",)),
)
ALONE = Route(received=({CALLER: ("x",)},), returned=(("y",),))


def begun(route: Route = LINE, **options: object) -> Schedule:
    """A schedule whose workers have loaded their stages, and whose stream is open."""
    schedule = Schedule(route, **options)  # type: ignore[arg-type]
    for instruction in schedule.begin():
        if isinstance(instruction, Load):
            schedule.handle(Loaded(instruction.worker, instruction.stage))
    assert schedule.open() == [Fetch()]
    return schedule


def wait(schedule: Schedule, seconds: float, tick_s: float = 0.5) -> list[Instruction]:
    """Let time pass, answering nothing."""
    return [i for _ in range(round(seconds / tick_s)) for i in schedule.handle(Woke(tick_s))]


def of(kind: type[Instruction], found: list[Instruction]) -> list[Instruction]:
    return [instruction for instruction in found if isinstance(instruction, kind)]


def test_workers_are_started_and_loaded() -> None:
    schedule = Schedule(LINE)
    assert schedule.begin() == [Start(0), Load(0, 0), Start(1), Load(1, 1)]
    schedule.open()
    assert schedule.handle(Offered(0)) == []  # it waits for its worker
    assert schedule.handle(Loaded(0, 0)) == [Compute(0, 0, 0, 0)]


def test_a_request_walks_down_a_line() -> None:
    schedule = begun()
    assert schedule.handle(Offered(0)) == [Compute(0, 0, 0, 0)]
    assert schedule.handle(Finished(0)) == [Release(0, CALLER), Compute(1, 0, 1, 1)]
    assert schedule.handle(Finished(1)) == [Collect(0, 1), Release(0, 0), Release(0, 1), Answer(0), Fetch()]
    assert not schedule.done
    assert schedule.handle(Ended()) == []
    assert schedule.done


def test_a_second_stream_counts_from_zero() -> None:
    schedule = begun(ALONE)
    schedule.handle(Offered(0))
    schedule.handle(Finished(0))
    schedule.handle(Ended())
    assert schedule.open() == [Fetch()]
    assert schedule.handle(Offered(0)) == [Compute(1, 0, 0, 0)]
    with pytest.raises(RunError, match="before the one before"):
        schedule.open()


def test_a_join_waits_for_all_its_senders() -> None:
    schedule = begun(DIAMOND)
    schedule.handle(Offered(0))
    assert of(Compute, schedule.handle(Finished(0))) == [Compute(1, 0, 1, 1), Compute(2, 0, 2, 2)]
    assert schedule.handle(Finished(2)) == []
    found = schedule.handle(Finished(1))
    assert Compute(3, 0, 3, 3) in found
    assert Release(0, 0) in found


def test_requests_are_pipelined_up_to_the_limit() -> None:
    schedule = begun(in_flight=2)
    assert schedule.handle(Offered(0)) == [Compute(0, 0, 0, 0), Fetch()]
    assert schedule.handle(Offered(1)) == []
    assert schedule.handle(Finished(0)) == [Release(0, CALLER), Compute(1, 0, 1, 1), Compute(2, 1, 0, 0)]
    assert schedule.handle(Finished(1))[-1] == Fetch()


def test_a_queue_puts_the_next_task_beside_the_worker() -> None:
    schedule = begun(in_flight=3, queue=2)
    assert schedule.handle(Offered(0)) == [Compute(0, 0, 0, 0), Fetch()]
    assert schedule.handle(Offered(1)) == [Compute(1, 1, 0, 0), Fetch()]
    assert schedule.handle(Offered(2)) == []


def test_a_stage_without_inputs_starts_with_the_request() -> None:
    schedule = begun(Route(received=({}, {0: ("a",)}), returned=((), ("b",))))
    assert schedule.handle(Offered(0)) == [Compute(0, 0, 0, 0)]


def test_several_workers_share_a_stage_and_answers_keep_their_order() -> None:
    schedule = begun(ALONE, workers=2, in_flight=2)
    schedule.handle(Offered(0))
    assert of(Compute, schedule.handle(Offered(1))) == [Compute(1, 1, 0, 1)]
    assert of(Answer, schedule.handle(Finished(1))) == []
    assert of(Answer, schedule.handle(Finished(0))) == [Answer(0), Answer(1)]


def test_a_slow_worker_gets_less() -> None:
    """One that takes three times as long as the other computes a quarter of the tasks."""
    schedule = begun(ALONE, workers=2, in_flight=12, queue=2)
    ends, offered, done = list[tuple[int, int, int]](), 0, [0, 0]
    todo: list[Instruction] = [Fetch()]
    free_at, now = [0, 0], 0
    while sum(done) < 200:
        for instruction in todo:
            if isinstance(instruction, Fetch):
                todo.extend(schedule.handle(Offered(offered)))
                offered += 1
            elif isinstance(instruction, Compute):
                worker = instruction.worker
                free_at[worker] = max(now, free_at[worker]) + (3 if worker == 0 else 1)
                ends.append((free_at[worker], instruction.ticket, worker))
        now, ticket, worker = min(ends)
        ends.remove((now, ticket, worker))
        done[worker] += 1
        todo = schedule.handle(Finished(ticket))
    assert done[0] / 200 == pytest.approx(1 / 4, abs=0.03)


def test_one_worker_takes_several_stages() -> None:
    schedule = Schedule(DIAMOND, workers=1)
    assert schedule.begin() == [Start(0), *(Load(0, stage) for stage in range(4))]


def test_a_dead_worker_is_replaced_and_its_task_repeated() -> None:
    schedule = begun(in_flight=2)
    schedule.handle(Offered(0))
    assert schedule.handle(Lost(0, "killed")) == [Start(0), Load(0, 0)]
    assert schedule.handle(Loaded(0, 0)) == [Compute(1, 0, 0, 0)]
    assert schedule.handle(Finished(0)) == [Discard(0)]  # too late: nothing is done twice
    assert Release(0, CALLER) in schedule.handle(Finished(1))
    assert [str(incident) for incident in schedule.story.incidents] == ["lost (worker 0): killed"]


def test_a_task_goes_to_another_worker_of_its_stage() -> None:
    schedule = begun(ALONE, workers=2)
    schedule.handle(Offered(0))
    found = schedule.handle(Lost(0, "killed"))
    assert Compute(1, 0, 0, 1) in found


def test_a_silent_worker_is_stopped_and_replaced() -> None:
    policy = Policy(heartbeat_s=2)
    schedule = begun(ALONE, supervised=True, policy=policy)
    schedule.handle(Offered(0))
    for _ in range(20):
        assert schedule.handle(Woke(0.5)) == [Ping(0), Wake(0.5)]
        schedule.handle(Heard(0))
    found = wait(schedule, 3)
    assert [i for i in found if not isinstance(i, Ping | Wake)] == [Stop(0), Start(0), Load(0, 0)]


def test_a_worker_that_never_says_anything_is_replaced_long_before_its_load_is_overdue() -> None:
    schedule = Schedule(ALONE, supervised=True, policy=Policy(heartbeat_s=2, start_s=5))
    schedule.begin()
    for _ in range(10):
        assert not of(Stop, wait(schedule, 4))
        schedule.handle(Heard(0))  # slow, but alive
    assert of(Stop, wait(schedule, 6)) == [Stop(0)]
    assert [incident.what for incident in schedule.story.incidents] == ["silent"]


def test_a_caller_that_slept_takes_nobody_for_dead() -> None:
    schedule = begun(ALONE, supervised=True)
    assert not of(Stop, schedule.handle(Woke(3600)))


def test_an_overdue_task_ends_its_worker() -> None:
    policy = Policy(first_deadline_s=5, least_deadline_s=1, deadline_factor=10, heartbeat_s=1e9)
    schedule = begun(ALONE, supervised=True, policy=policy)
    schedule.handle(Offered(0))
    assert not of(Stop, wait(schedule, 4))
    schedule.handle(Finished(0, seconds=0.2))
    schedule.handle(Offered(1))
    assert not of(Stop, wait(schedule, 2))
    assert of(Stop, wait(schedule, 1)) == [Stop(0)]


def test_loading_has_a_deadline() -> None:
    schedule = Schedule(ALONE, supervised=True, policy=Policy(load_s=3))
    schedule.begin()
    assert of(Stop, wait(schedule, 4)) == [Stop(0)]


def test_a_failed_task_is_repeated_after_a_while() -> None:
    schedule = begun(ALONE, policy=Policy(backoff_s=0.125))
    schedule.handle(Offered(0))
    assert schedule.handle(Failed(0, Fault.ERROR, "no luck")) == [Wake(0.125)]
    assert schedule.handle(Woke(0.125)) == [Compute(1, 0, 0, 0)]
    assert schedule.handle(Failed(1, Fault.ERROR, "no luck")) == [Wake(0.25)]


def test_a_failure_lowers_a_workers_share_and_three_in_a_row_exclude_it() -> None:
    schedule = begun(ALONE, workers=2, in_flight=9, queue=4)
    member = schedule.roster.members[0]
    for request in range(8):
        schedule.handle(Offered(request))
    assert len(member.running) == 4
    for count, share in ((1, 0.5), (2, 0.25), (3, 0.125)):
        schedule.handle(Failed(member.running[0], Fault.ERROR, "broken"))
        assert (member.in_a_row, member.share) == (count, share)
    assert not member.available
    while member.running:
        schedule.handle(Failed(member.running[0], Fault.ERROR, "broken"))
    assert "excluded (worker 0): 3 failures in a row, the last: broken" in map(str, schedule.story.incidents)
    assert {i.worker for i in of(Compute, wait(schedule, 2))} <= {1}  # type: ignore[union-attr]
    wait(schedule, 4)
    assert member.available


def test_a_success_brings_the_share_back() -> None:
    schedule = begun(ALONE, in_flight=2, policy=Policy(backoff_s=0))
    schedule.handle(Offered(0))
    schedule.handle(Failed(0, Fault.ERROR, "once"))
    assert schedule.roster.members[0].share == 0.5
    schedule.handle(Woke(0))
    schedule.handle(Finished(1))
    assert schedule.roster.members[0].share == 1


def test_an_excluded_workers_stage_goes_to_one_with_room() -> None:
    schedule = begun(LINE, policy=Policy(exclude_after=1))
    schedule.handle(Offered(0))
    assert schedule.handle(Lost(0, "killed"))[0] == Load(1, 0)
    assert schedule.handle(Loaded(1, 0)) == [Compute(1, 0, 0, 1)]
    assert of(Start, wait(schedule, 6)) == [Start(0)]


def test_a_worker_that_never_lives_ends_the_run() -> None:
    schedule = Schedule(ALONE)
    schedule.begin()
    found = list[Instruction]()
    for _ in range(6):
        found = schedule.handle(Lost(0, "killed")) + wait(schedule, 6)
    assert of(Abandon, found) == [Abandon(0, 0, "killed", (0,) * 6)]


def test_a_final_failure_is_the_requests_own() -> None:
    schedule = begun(DIAMOND)
    schedule.handle(Offered(0))
    schedule.handle(Finished(0))
    assert schedule.handle(Failed(1, Fault.FINAL, "bad shape")) == []  # its other task is still under way
    found = schedule.handle(Finished(2))
    assert found[-2:] == [GiveUp(0, 1, "bad shape"), Fetch()]
    assert sorted(i.sender for i in of(Release, found)) == [CALLER, 0, 2]  # type: ignore[union-attr]


def test_a_request_given_up_says_who_tried_it() -> None:
    schedule = begun(ALONE, workers=2, policy=Policy(divide=False))
    schedule.handle(Offered(0))
    found = list[Instruction]()
    for ticket in range(3):
        found = schedule.handle(Failed(ticket, Fault.ERROR, f"attempt {ticket}"))
        schedule.handle(Woke(1.0))
    assert of(GiveUp, found) == [GiveUp(0, 0, "attempt 2", (0, 1, 0))]


def test_a_liar_is_ended() -> None:
    schedule = begun(ALONE)
    schedule.handle(Offered(0))
    assert schedule.handle(Failed(0, Fault.LIED, "a shape")) == [Stop(0), Start(0), Load(0, 0)]


HALVES = (Piece(inputs=("x",), outputs=("h",)), Piece(inputs=("h",), outputs=("a",)))


def exhaust(schedule: Schedule, fault: Fault) -> list[Instruction]:
    schedule.handle(Offered(0))
    found = list[Instruction]()
    for ticket in range(3):
        found = schedule.handle(Failed(ticket, fault, "too much"))
        if ticket < 2:
            schedule.handle(Woke(1.0))
    return found


def test_a_stage_that_keeps_failing_is_divided() -> None:
    schedule = begun()
    assert exhaust(schedule, Fault.ERROR) == [Divide(0)]
    found = schedule.handle(Divided(0, HALVES, (Demand(), Demand())))
    assert found == [Load(0, 2), Load(1, 3), Unload(0, 0)]
    assert schedule.handle(Loaded(0, 2)) == [Compute(3, 0, 2, 0)]
    schedule.handle(Loaded(1, 3))
    assert schedule.handle(Finished(3)) == [Release(0, CALLER), Compute(4, 0, 3, 1)]
    assert schedule.handle(Finished(4)) == [Release(0, 2), Compute(5, 0, 1, 1)]
    assert schedule.handle(Finished(5)) == [Collect(0, 1), Release(0, 3), Release(0, 1), Answer(0), Fetch()]


def test_a_stage_that_served_others_is_not_divided_for_one_bad_request() -> None:
    schedule = begun(ALONE)
    schedule.handle(Offered(0))
    schedule.handle(Finished(0))
    schedule.handle(Offered(1))
    for ticket in (1, 2):
        schedule.handle(Failed(ticket, Fault.ERROR, "index out of range"))
        schedule.handle(Woke(1.0))
    assert of(GiveUp, schedule.handle(Failed(3, Fault.ERROR, "index out of range")))


def test_a_task_that_does_not_fit_divides_its_stage_at_once() -> None:
    schedule = begun()
    schedule.handle(Offered(0))
    assert schedule.handle(Failed(0, Fault.MEMORY, "full")) == [Divide(0)]
    assert schedule.roster.members[0].share == 1  # it is not the worker's fault


def test_bad_requests_exclude_nobody() -> None:
    schedule = begun(ALONE, in_flight=9, queue=9, policy=Policy(attempts=2))
    schedule.handle(Offered(0))
    schedule.handle(Finished(0))
    for request in range(1, 6):
        schedule.handle(Offered(request))
    member, given_up = schedule.roster.members[0], 0
    while given_up < 5:
        for ticket in list(member.running):
            given_up += len(of(GiveUp, schedule.handle(Failed(ticket, Fault.ERROR, "index out of range"))))
        schedule.handle(Woke(1.0))
    assert (member.in_a_row, member.share, member.available) == (0, 1, True)


def test_a_task_that_makes_every_worker_lie_is_given_up() -> None:
    schedule = begun(ALONE, policy=Policy(deaths=3))
    schedule.handle(Offered(0))
    found = list[Instruction]()
    for _ in range(3):
        (ticket,) = schedule.roster.members[0].running
        found = schedule.handle(Failed(ticket, Fault.LIED, "a shape"))
        schedule.handle(Loaded(0, 0))
        wait(schedule, 6)
    assert of(GiveUp, found)


def test_what_cannot_be_divided_is_given_up() -> None:
    schedule = begun(ALONE)
    assert exhaust(schedule, Fault.ERROR) == [Divide(0)]
    assert of(GiveUp, schedule.handle(Indivisible(0, "one layer"))) == [GiveUp(0, 0, "too much", (0, 0, 0))]


def test_the_cpu_stands_in_where_it_is_allowed() -> None:
    schedule = begun(ALONE, policy=Policy(cpu_fallback=True))
    schedule.handle(Offered(0))
    assert schedule.handle(Failed(0, Fault.MISSING, "no cuda")) == [Load(0, 0, on_cpu=True)]
    assert schedule.handle(Loaded(0, 0)) == [Compute(1, 0, 0, 0)]
    assert [incident.what for incident in schedule.story.incidents] == ["failed", "on cpu"]


def test_a_worker_gets_nothing_above_its_capacity() -> None:
    demands = [Demand(bytes=7), Demand(bytes=6)]
    schedule = Schedule(LINE, workers=[Capacity(bytes=6), Capacity(bytes=8)], demands=demands)
    assert of(Load, schedule.begin()) == [Load(0, 1), Load(1, 0)]
    small = Schedule(LINE, workers=[Capacity(bytes=5), Capacity(bytes=9)], demands=demands)
    assert Divide(1) in small.begin()
    assert of(Abandon, small.handle(Indivisible(1, "one layer"))) == [
        Abandon(1, None, "needs 6 bytes, has 5, and cannot be cut smaller (one layer)")
    ]


def test_streamed_stages_share_the_room_of_the_largest() -> None:
    """Weights of 7 and 6 bytes, of which one is there at a time, and 1 byte of values of each: 9 is enough."""
    demands = [Demand(bytes=1, computing_bytes=7), Demand(bytes=1, computing_bytes=6)]
    schedule = Schedule(LINE, workers=[Capacity(bytes=9)], demands=demands)
    assert of(Load, schedule.begin()) == [Load(0, 0), Load(0, 1)]
    full = Schedule(LINE, workers=[Capacity(bytes=8)], demands=demands)
    assert Divide(1) in full.begin()


def test_a_stage_that_does_not_load_goes_elsewhere_or_in_pieces() -> None:
    schedule = Schedule(LINE, workers=2)
    schedule.begin()
    assert of(Load, schedule.handle(Refused(0, 0, Fault.MEMORY, "full"))) == [Load(1, 0)]
    assert schedule.handle(Refused(1, 0, Fault.MEMORY, "full")) == [Divide(0)]
    assert Abandon(1, 1, "changed") in schedule.handle(Refused(1, 1, Fault.FINAL, "changed"))


def test_workers_join_and_leave() -> None:
    schedule = Schedule(LINE, workers=0)
    assert schedule.begin() == []
    schedule.open()
    schedule.handle(Offered(0))
    assert schedule.handle(Joined(7, Capacity())) == [Load(7, 0), Load(7, 1)]
    assert schedule.handle(Loaded(7, 0)) == [Compute(0, 0, 0, 7)]
    assert schedule.handle(Joined(9, Capacity())) == [Load(9, 0)]
    schedule.handle(Loaded(9, 0))
    assert schedule.handle(Lost(7, "left")) == [Load(9, 1), Compute(1, 0, 0, 9)]


def test_workers_of_others_are_up_from_the_start() -> None:
    schedule = Schedule(ALONE, workers={4: Capacity(), 7: Capacity()}, own=False)
    assert schedule.begin() == [Load(4, 0), Load(7, 0)]
    assert schedule.handle(Lost(4, "left")) == []  # it comes back by itself, or not
    assert schedule.handle(Joined(4, Capacity())) == [Load(4, 0)]


def test_what_a_lost_worker_sent_is_computed_again_where_values_die_with_it() -> None:
    schedule = begun(DIAMOND, durable=False)
    schedule.handle(Offered(0))
    schedule.handle(Finished(0))
    found = schedule.handle(Lost(0, "killed"))  # its values are still read by stages 1 and 2, which run
    assert not of(Compute, found)
    schedule.handle(Loaded(0, 0))
    found = schedule.handle(Failed(1, Fault.INPUTS, "gone"))
    assert found == [Compute(3, 0, 0, 0)]
    assert schedule.handle(Finished(2)) == []
    assert schedule.handle(Finished(3)) == [Compute(4, 0, 1, 1)]


IMPOSSIBLE: list[Event] = [
    Finished(0),
    Failed(3, Fault.ERROR, ""),
    Offered(1),
    Loaded(0, 1),
    Heard(5),
    Divided(0, (), ()),
]


@pytest.mark.parametrize("event", IMPOSSIBLE)
def test_what_cannot_have_happened_is_refused(event: Event) -> None:
    with pytest.raises(RunError):
        begun().handle(event)


def test_an_impossible_event_tells_the_story() -> None:
    schedule = begun()
    schedule.handle(Offered(0))
    schedule.handle(Finished(0))
    with pytest.raises(
        RunError, match=r"Loaded\(worker 0, stage 0\).*Load\(.*Loaded\(worker 0.*Compute\(ticket 0, request 0"
    ):
        schedule.handle(Loaded(0, 0))
