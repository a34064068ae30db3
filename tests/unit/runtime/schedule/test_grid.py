"""A schedule that ran, as a grid."""

from __future__ import annotations

from partwise.runtime.route import CALLER, Route
from partwise.runtime.schedule import (
    Compute,
    Ended,
    Fetch,
    Finished,
    Load,
    Loaded,
    Lost,
    Offered,
    Schedule,
    format_grid,
)

LINE = Route(received=({CALLER: ("x",)}, {0: ("a",)}), returned=((), ("b",)))


def ran(count: int, killed: int | None = None) -> Schedule:
    """Requests through two stages; the oldest task ends first, and a worker dies at some step."""
    schedule = Schedule(LINE, in_flight=2, remembered=None)
    todo, running, offered, steps = [*schedule.begin(), *schedule.open()], list[Compute](), 0, 0
    while todo or running:
        if not todo:
            steps += 1
            if steps == killed:
                running = [task for task in running if task.worker != 1]
                todo += schedule.handle(Lost(1, "killed"))
            else:
                todo += schedule.handle(Finished(running.pop(0).ticket))
            continue
        match todo.pop(0):
            case Load(worker, stage):
                todo += schedule.handle(Loaded(worker, stage))
            case Fetch():
                todo += schedule.handle(Offered(offered) if offered < count else Ended())
                offered += 1
            case Compute() as task:
                running.append(task)
            case _:
                pass
    return schedule


PIPELINE = """\
stage      0
           012345678
0          00111222.
1          ..0..1..2"""
DEATH = """\
stage      0         1
           01234567890123
0          00111..222333.
1          ..0x0011..2..3
              !"""


def test_a_pipeline() -> None:
    assert format_grid(ran(3).story.steps) == PIPELINE


def test_a_death_is_seen() -> None:
    assert format_grid(ran(4, killed=2).story.steps) == DEATH


def test_a_long_one_goes_on_below() -> None:
    grid = format_grid(ran(60).story.steps)
    assert max(map(len, grid.splitlines())) <= 100
    assert grid.count("stage") > 1


def test_nothing_ran() -> None:
    assert format_grid(Schedule(LINE).story.steps) == ""
