"""Stages that take room only while they are computed, and tasks that go elsewhere: the schedule of proofs."""

from __future__ import annotations

from partwise.runtime.route import Piece, Route
from partwise.runtime.schedule import (
    Abandon,
    Capacity,
    Compute,
    Demand,
    Divide,
    Divided,
    Ended,
    Failed,
    Fault,
    Fetch,
    Finished,
    GiveUp,
    Indivisible,
    Instruction,
    Load,
    Loaded,
    Lost,
    Offered,
    Policy,
    Schedule,
    Start,
    Woke,
)

APART = (Piece(inputs=(), outputs=()),) * 2


class World:
    """Workers that load at once, and remember what they are to compute."""

    def __init__(self, tasks: int, workers: int, capacity: Capacity | None = None, **options: object) -> None:
        policy = options.pop("policy", Policy(elsewhere=True))
        self.schedule = Schedule(
            Route(received=({},) * tasks, returned=((),) * tasks),
            workers=[capacity or Capacity()] * workers,
            resident=False,
            policy=policy,  # type: ignore[arg-type]
            **options,  # type: ignore[arg-type]
        )
        self.running: dict[int, Compute] = {}
        self.seen: list[Instruction] = []
        self.obey(self.schedule.begin())
        self.obey(self.schedule.open())

    def obey(self, found: list[Instruction]) -> None:
        self.seen += found
        for instruction in found:
            match instruction:
                case Fetch():
                    asked = sum(isinstance(i, Fetch) for i in self.seen)
                    self.obey(self.schedule.handle(Offered(0) if asked == 1 else Ended()))
                case Load(worker, stage):
                    self.obey(self.schedule.handle(Loaded(worker, stage)))
                case Compute(worker=worker):
                    assert worker not in self.running, "a worker proves one at a time"
                    self.running[worker] = instruction
                case _:
                    pass

    def finish(self, worker: int) -> None:
        self.obey(self.schedule.handle(Finished(self.running.pop(worker).ticket, 1.0)))

    def fail(self, worker: int, fault: Fault = Fault.ERROR) -> int:
        task = self.running.pop(worker)
        self.obey(self.schedule.handle(Failed(task.ticket, fault, "no proof")))
        return task.stage

    def lose(self, worker: int) -> int:
        task = self.running.pop(worker)
        self.obey(self.schedule.handle(Lost(worker, "killed")))
        return task.stage

    def wait(self, seconds: float) -> None:
        for _ in range(round(2 * seconds)):
            self.obey(self.schedule.handle(Woke(0.5)))

    def where(self, stage: int) -> list[int]:
        return [worker for worker, task in self.running.items() if task.stage == stage]

    def said(self, kind: type[Instruction]) -> list[Instruction]:
        return [i for i in self.seen if isinstance(i, kind)]


def test_whoever_is_free_takes_the_next() -> None:
    world = World(5, 2)
    assert {task.stage for task in world.running.values()} == {0, 1}
    for stage in (2, 3, 4):
        world.finish(0)
        assert world.where(stage) == [0]
    world.finish(0)
    world.finish(1)
    assert world.schedule.done


def test_room_is_for_one_at_a_time() -> None:
    world = World(3, 1, Capacity(bytes=10), demands=[Demand(bytes=10)] * 3)
    for _ in range(3):
        world.finish(0)
    assert world.schedule.done


def test_a_failed_proof_waits_for_another_worker() -> None:
    world = World(2, 2)
    stage = world.fail(0)
    world.wait(2)
    assert 0 not in world.running, "rather idle than with the same worker again"
    world.finish(1)
    assert world.where(stage) == [1]


def test_alone_a_worker_tries_again() -> None:
    world = World(1, 1)
    world.fail(0)
    world.wait(2)
    assert world.where(0) == [0]


def test_a_lost_proof_goes_to_another_worker() -> None:
    world = World(2, 2)
    stage = world.lose(0)
    assert 0 not in world.running
    assert len(world.said(Start)) == 3, "another process has taken its place"
    world.finish(1)
    assert world.where(stage) == [1]


def test_who_waits_for_a_worker_that_is_excluded_waits_no_longer() -> None:
    world = World(4, 2, policy=Policy(elsewhere=True, exclude_after=1, exclude_s=60, backoff_s=0))
    failed = world.fail(0)
    assert {incident.what for incident in world.schedule.story.incidents} == {"failed", "excluded"}
    world.wait(0.5)
    world.finish(1)
    assert world.where(failed) == [1], "first in the order of tasks"
    world.fail(1)  # both have failed it now, and both are excluded
    assert not world.running
    world.wait(61)
    assert world.running


def test_after_three_failures_in_pieces_on_every_worker() -> None:
    world = World(1, 2)
    for _ in range(3):
        (worker,) = world.running
        world.fail(worker)
        world.wait(1)
    assert world.said(Divide) == [Divide(0)]
    world.obey(world.schedule.handle(Divided(0, APART, (Demand(), Demand()))))
    assert sorted(task.stage for task in world.running.values()) == [1, 2]
    assert {(i.worker, i.stage) for i in world.said(Load) if isinstance(i, Load) and i.stage} == {
        (0, 1), (0, 2), (1, 1), (1, 2),
    }  # fmt: skip
    world.finish(0)
    world.finish(1)
    assert world.schedule.done
    assert not world.said(GiveUp)


def test_what_is_too_large_for_everybody_is_divided_before_it_is_tried() -> None:
    world = World(2, 2, Capacity(layers=1), demands=[Demand(layers=2), Demand(layers=1)])
    assert world.said(Divide) == [Divide(0)]
    assert world.where(1) == [0]
    world.obey(world.schedule.handle(Divided(0, APART, (Demand(layers=1), Demand(layers=1)))))
    assert world.where(2) == [1]


def test_memory_is_not_tried_twice() -> None:
    world = World(1, 2)
    world.fail(0, Fault.MEMORY)
    assert world.said(Divide) == [Divide(0)]


def test_one_layer_that_no_worker_has_room_for_ends_the_run() -> None:
    world = World(1, 2, Capacity(bytes=1), demands=[Demand(bytes=2)])
    world.obey(world.schedule.handle(Indivisible(0, "one layer")))
    assert [str(i) for i in world.said(Abandon)] == [
        str(Abandon(0, None, "needs 2 bytes, has 1, and cannot be cut smaller (one layer)"))
    ]


def test_one_layer_that_fails_everywhere_is_given_up() -> None:
    world = World(1, 2)
    for _ in range(3):
        (worker,) = world.running
        world.fail(worker)
        world.wait(1)
    world.obey(world.schedule.handle(Indivisible(0, "one layer")))
    assert len(world.said(GiveUp)) == 1
