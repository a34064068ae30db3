"""The runtime's schedule on random nets of stages, with random delays, failures and deaths: a simulated executor."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

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
    Release,
    Schedule,
    Start,
    Stop,
    Unload,
    Wake,
    Woke,
)

POLICY = Policy(attempts=10**6, deaths=10**6, abandon_after=10**6, exclude_s=1, heartbeat_s=3, first_deadline_s=6,
                least_deadline_s=6)  # fmt: skip


@dataclass
class Simulated:
    """Carries out instructions in a world of chance, and sees that they make sense."""

    schedule: Schedule
    count: int
    chance: Random
    faults: float
    """How likely each step is a fault, as long as there are some left."""
    left: int
    """Faults to come."""
    durable: bool = True
    up: set[int] = field(default_factory=set)
    stuck: set[int] = field(default_factory=set)
    loading: list[tuple[int, int]] = field(default_factory=list)
    loaded: set[tuple[int, int]] = field(default_factory=set)
    running: dict[int, Compute] = field(default_factory=dict)
    values: dict[tuple[int, int], int] = field(default_factory=dict)
    """Worker by (request, sender): what can be read."""
    waking: bool = False
    offered: int = 0
    underway: int = 0
    answered: list[int] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)
    seen: Counter[Instruction] = field(default_factory=Counter)
    computed: Counter[tuple[int, int]] = field(default_factory=Counter)
    todo: deque[Instruction] = field(default_factory=deque)
    obeying: bool = False
    divisible: int = 0
    most: int = 0

    def run(self) -> None:
        self.carry_out(self.schedule.begin())
        self.carry_out(self.schedule.open())
        steps = 0
        while not self.schedule.done:
            steps += 1
            assert steps < 200_000, "no progress"
            self.step()
        assert not self.values
        assert not self.running
        assert self.answered == sorted(self.answered)

    def step(self) -> None:
        alive = [t for t, task in self.running.items() if task.worker not in self.stuck]
        if self.left and self.up and self.chance.random() < self.faults:
            self.left -= 1
            self.fault(alive)
        elif alive and self.chance.random() < 0.6:
            self.finish(self.chance.choice(alive))
        elif self.loading and self.chance.random() < 0.7:
            worker, stage = self.loading.pop(self.chance.randrange(len(self.loading)))
            self.loaded.add((worker, stage))
            self.carry_out(self.schedule.handle(Loaded(worker, stage)))
        elif self.waking:
            self.waking = False
            self.carry_out(self.schedule.handle(Woke(self.chance.choice((0.1, 0.5, 2)))))
        else:
            assert alive or self.loading, "a deadlock"

    def fault(self, alive: list[int]) -> None:
        worker = self.chance.choice(sorted(self.up))
        kind = self.chance.choice(("die", "fail", "hang"))
        if kind == "fail" and alive:
            ticket = self.chance.choice(alive)
            del self.running[ticket]
            self.carry_out(self.schedule.handle(Failed(ticket, self.chance.choice((Fault.ERROR, Fault.MEMORY)), "f")))
        elif kind == "hang" and any(w == worker for w, _ in self.loaded):
            self.stuck.add(worker)
        else:
            self.bury(worker)
            self.carry_out(self.schedule.handle(Lost(worker, "died")))

    def bury(self, worker: int) -> None:
        self.up.discard(worker)
        self.stuck.discard(worker)
        self.loading = [pair for pair in self.loading if pair[0] != worker]
        self.loaded = {pair for pair in self.loaded if pair[0] != worker}
        self.running = {t: task for t, task in self.running.items() if task.worker != worker}
        if not self.durable:
            self.values = {key: w for key, w in self.values.items() if w != worker}

    def finish(self, ticket: int) -> None:
        task = self.running.pop(ticket)
        readable = self.schedule._stream.requests[task.request].route.received[task.stage]  # type: ignore[union-attr]
        if any((task.request, sender) not in self.values for sender in readable):
            assert not self.durable
            self.carry_out(self.schedule.handle(Failed(ticket, Fault.INPUTS, "gone")))
            return
        self.computed[task.request, task.stage] += 1
        assert (task.request, task.stage) not in self.values
        self.values[task.request, task.stage] = task.worker
        self.carry_out(self.schedule.handle(Finished(ticket)))

    def carry_out(self, found: list[Instruction]) -> None:
        """In their order: what follows from an answer comes after what was asked before it."""
        self.todo.extend(found)
        while self.todo and not self.obeying:
            self.obeying = True
            self.obey(self.todo.popleft())
            self.obeying = False

    def obey(self, instruction: Instruction) -> None:
        match instruction:
            case Fetch():
                self.fetch()
            case Start(worker):
                assert worker not in self.up
                self.up.add(worker)
            case Stop(worker):
                assert worker in self.up
                self.bury(worker)
            case Load(worker, stage):
                assert worker in self.up
                self.loading.append((worker, stage))
            case Unload(worker, stage):
                self.loaded.discard((worker, stage))
                assert all((t.worker, t.stage) != (worker, stage) for t in self.running.values())
            case Compute(ticket, request, stage, worker):
                assert (worker, stage) in self.loaded
                route = self.schedule._stream.requests[request].route  # type: ignore[union-attr]
                assert all((request, sender) in self.values for sender in route.received[stage])
                self.running[ticket] = instruction
                held = [t for t in self.running.values() if t.worker == worker]
                assert len(held) <= self.schedule.roster.queue
            case Collect(request, stage):
                self.seen[instruction] += 1
                assert (request, stage) in self.values
            case Release(request, sender):
                del self.values[request, sender]  # a KeyError: released twice, or never sent
            case Answer(request):
                self.underway -= 1
                self.answered.append(request)
            case GiveUp(request):
                self.underway -= 1
                self.given_up.append(request)
            case Divide(stage):
                self.divide(stage)
            case Wake():
                self.waking = True
            case Ping(worker):
                if worker not in self.stuck:
                    self.carry_out(self.schedule.handle(Heard(worker)))
            case Discard() | Abandon():
                raise AssertionError(instruction)

    def fetch(self) -> None:
        if self.offered == self.count:
            return self.carry_out(self.schedule.handle(Ended()))
        if self.schedule.route.readers[CALLER]:
            self.values[self.offered, CALLER] = CALLER
        self.underway, self.offered = self.underway + 1, self.offered + 1
        self.most = max(self.most, self.underway)
        return self.carry_out(self.schedule.handle(Offered(self.offered - 1)))

    def divide(self, stage: int) -> None:
        """In two, one after the other; the first reads all and sends the second all that it needs."""
        if not self.divisible:
            return self.carry_out(self.schedule.handle(Indivisible(stage, "one layer")))
        self.divisible -= 1
        route = self.schedule.route
        names = tuple(name for taken in route.received[stage].values() for name in taken)
        sent = {name for taken in route.received for s, some in taken.items() if s == stage for name in some}
        outputs = tuple(sorted(sent | set(route.returned[stage])))
        inner = f"inner{stage}"
        pieces = (Piece(inputs=names, outputs=(inner,)), Piece(inputs=(inner, *names[:1]), outputs=outputs))
        return self.carry_out(self.schedule.handle(Divided(stage, pieces, (Demand(), Demand()))))


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """Any acyclic package: each stage receives from some earlier ones and perhaps the caller."""
    stages = draw(st.integers(1, 6))
    received = tuple(
        {s: (f"t{s}",) if s != CALLER else (f"x{stage}",) for s in
         draw(st.lists(st.integers(CALLER, stage - 1), unique=True))}
        for stage in range(stages)
    )  # fmt: skip
    returned = [(f"t{stage}",) if draw(st.booleans()) else () for stage in range(stages)]
    return Route(received=received, returned=(*returned[:-1], (f"t{stages - 1}",)))


@settings(max_examples=150, deadline=None)
@given(
    routes(),
    st.integers(0, 12),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(0, 30),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_no_deadlock_nothing_lost_nothing_twice(
    route: Route,
    count: int,
    in_flight: int,
    queue: int,
    workers: int,
    faults: int,
    durable: bool,
    resident: bool,
    seed: int,
) -> None:
    schedule = Schedule(
        route,
        workers=workers,
        in_flight=in_flight,
        queue=queue,
        policy=replace(POLICY, elsewhere=not resident),
        supervised=True,
        durable=durable,
        resident=resident,
    )
    world = Simulated(schedule, count, Random(seed), 0.3, faults, durable)
    world.run()
    assert world.answered == list(range(count))
    assert world.most <= in_flight
    assert max(world.seen.values(), default=0) <= 1  # each output collected once
    assert sum(world.seen.values()) == count * sum(map(bool, route.returned))
    if durable:
        assert all(times == 1 for times in world.computed.values())
    if not faults or durable:
        assert len(world.computed) == count * route.stages


@settings(max_examples=150, deadline=None)
@given(
    routes(),
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 5),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_divided_and_given_up_requests_leave_nothing(
    route: Route, count: int, in_flight: int, workers: int, divisible: int, resident: bool, seed: int
) -> None:
    policy = Policy(attempts=2, deaths=2, abandon_after=10**6, exclude_s=1, keep_going=True, elsewhere=not resident)
    schedule = Schedule(
        route, workers=workers, in_flight=in_flight, queue=2, policy=policy, supervised=True, resident=resident
    )
    world = Simulated(schedule, count, Random(seed), 0.5, 60, divisible=divisible)
    world.run()
    assert sorted(world.answered + world.given_up) == list(range(count))
    assert world.most <= in_flight
    assert max(world.seen.values(), default=0) <= 1


@settings(max_examples=50, deadline=None)
@given(routes(), st.integers(1, 8), st.integers(1, 6), st.integers(0, 2**32))
def test_workers_that_join_and_leave(route: Route, count: int, hosts: int, seed: int) -> None:
    """As under Ray: nobody is started, values die with their worker, and some worker always comes back."""
    schedule, chance = Schedule(route, workers=0, in_flight=3, queue=2, policy=POLICY, durable=False), Random(seed)
    world = Simulated(schedule, count, chance, 0.0, 0, durable=False)
    world.carry_out(schedule.begin())
    world.carry_out(schedule.open())
    turns = 0
    while not schedule.done:
        turns += 1
        assert turns < 100_000, "no progress"
        absent = [host for host in range(hosts) if host not in world.up]
        if absent and (not world.up or chance.random() < 0.1):
            host = chance.choice(absent)
            world.up.add(host)
            world.carry_out(schedule.handle(Joined(host, Capacity())))
        elif world.up and turns < 200 and chance.random() < 0.05:
            host = chance.choice(sorted(world.up))
            world.bury(host)
            world.carry_out(schedule.handle(Lost(host, "left")))
        elif world.running or world.loading or world.waking:
            world.step()
    assert world.answered == list(range(count))
    assert not world.values


DEMANDS = st.builds(
    Demand,
    bytes=st.integers(0, 9),
    computing_bytes=st.integers(0, 9),
    parameters=st.integers(0, 3),
    layers=st.integers(0, 3),
    work=st.integers(1, 5).map(float),
)


def needed(demands: Sequence[Demand]) -> int:
    """The least capacity in bytes that has room for these stages."""
    return next(most for most in range(1000) if Capacity(bytes=most).shortage(demands) is None)


@given(st.lists(DEMANDS, min_size=1, max_size=6))
def test_streamed_weights_need_no_more_than_resident_ones(demands: list[Demand]) -> None:
    resident = [Demand(bytes=demand.bytes + demand.computing_bytes) for demand in demands]
    assert needed(demands) <= needed(resident)
    assert needed(demands[:1]) == needed(resident[:1])  # a stage alone needs its peak either way
    assert needed(demands) >= max(needed([demand]) for demand in demands)
    assert needed(demands[:-1]) <= needed(demands)
    assert needed([replace(demand, bytes=0) for demand in demands]) == max(d.computing_bytes for d in demands)


@settings(max_examples=100, deadline=None)
@given(routes(), st.data(), st.integers(1, 8), st.integers(0, 20), st.integers(0, 2**32))
def test_no_worker_has_more_than_it_takes(
    route: Route, data: st.DataObject, count: int, faults: int, seed: int
) -> None:
    """Whatever fails: the stages that a worker has fit it together, with the largest of them at work."""
    demands = data.draw(st.lists(DEMANDS, min_size=route.stages, max_size=route.stages))
    small = max(needed([demand]) for demand in demands)
    rooms = [Capacity(bytes=small + data.draw(st.integers(0, 9))) for _ in range(data.draw(st.integers(0, 3)))]
    capacities = [Capacity(), *rooms]
    schedule = Schedule(
        route, workers=capacities, demands=demands, in_flight=3, queue=2, policy=POLICY, supervised=True
    )
    world = Simulated(schedule, count, Random(seed), 0.3, faults)
    computed = world.obey

    def obey(instruction: Instruction) -> None:
        computed(instruction)
        for worker, capacity in enumerate(capacities):
            held = {stage for who, stage in [*world.loaded, *world.loading] if who == worker}
            assert capacity.shortage(demands[stage] for stage in held) is None

    world.obey = obey  # type: ignore[method-assign]
    world.run()
    assert world.answered == list(range(count))
