"""Schedules as grids: golden files, and what is wrong shown where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from partwise.errors import InputError, PlanError
from partwise.planning.schedule import (
    Schedule,
    ScheduleKind,
    Task,
    faults,
    format_schedule,
    make_schedule,
    parse_schedule,
    show_schedule,
)

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.mark.parametrize("kind", ScheduleKind)
def test_the_grid_of_each_kind(kind: ScheduleKind) -> None:
    made = make_schedule(kind, 4, 5, backward=True)
    text = (GOLDEN / f"schedule_{kind}.csv").read_text(encoding="utf-8")
    assert format_schedule(made) == text
    assert parse_schedule(text) == made


def test_forward_only() -> None:
    assert show_schedule(make_schedule(ScheduleKind.GPIPE, 3, 3)) == (
        "stage 0 | F0 F1 F2 ·  ·\nstage 1 | ·  F0 F1 F2 ·\nstage 2 | ·  ·  F0 F1 F2"
    )


def _grid(*rows: str, microbatches: int = 2, limit: str = "") -> str:
    return "\n".join([f"partwise.schedule/1,own,{microbatches},{limit}", "stage,0,1", *rows]) + "\n"


@pytest.mark.parametrize(
    ("text", "what", "marked"),
    [
        (_grid("0,F0,F0", "1,F0,F1"), "stage 0 runs F0 twice", "F0!"),
        (_grid("0,F0,F7", "1,F0,F1"), "stage 0 runs F7, and there are 2 microbatches", "F7!"),
        (_grid("0,F0", "1,F0,F1"), "stage 0 never runs F1", "!"),
        (_grid("0,B0,F0", microbatches=1), "stage 0 runs B0 before F0", "B0!"),
        (_grid("0,F0,F1,B0,B1", "1,F0,F1,B0"), "stage 1 never runs B1", "B0 !"),
        (_grid("0,F0,F1", "1,F1,F0", limit="1"), "stage 0 waits for ever before F1", "F1!"),
        (_grid("0,F0,B0,F1,B1", "1,F0,F1,B0,B1"), "stage 0 waits for ever before B0", "B0!"),
        (_grid(), "there is no stage", ""),
        (_grid("0,F0", microbatches=1, limit="0"), "no microbatch may be under way", "F0!"),
    ],
)
def test_a_schedule_that_cannot_run_is_shown_with_its_fault(text: str, what: str, marked: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_schedule(text)
    assert what in str(caught.value)
    assert marked in str(caught.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is no schedule"),
        ("partwise.schedule/2,own,1,\nstage,0\n0,F0\n", "is no schedule"),
        ("partwise.schedule/1,own,many,\nstage,0\n0,F0\n", "microbatches is no number"),
        ("partwise.schedule/1,own,1,\nstage,0\n0,X0\n", "no task"),
        ("partwise.schedule/1,own,1,\nstage,0\n0,F00\n", "no task"),
        ("partwise.schedule/1,own,1,\nstage,0\n1,F0\n", "not numbered"),
    ],
)
def test_a_text_that_is_none(text: str, what: str) -> None:
    with pytest.raises(PlanError, match=what):
        parse_schedule(text)


def test_all_faults_are_found() -> None:
    rows = ((Task(microbatch=0), Task(microbatch=0)), (Task(microbatch=1),))
    found = faults(Schedule(name="own", microbatches=2, stages=rows))
    assert [fault.what for fault in found] == [
        "stage 0 runs F0 twice",
        "stage 0 never runs F1",
        "stage 1 never runs F0",
    ]


def test_what_cannot_be_made() -> None:
    with pytest.raises(InputError, match="interleaves backward tasks"):
        make_schedule(ScheduleKind.ONE_F_ONE_B, 2, 2)
    with pytest.raises(InputError, match="at least 1"):
        make_schedule(ScheduleKind.GPIPE, 2, 0)
