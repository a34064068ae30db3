"""A schedule as a stage × time grid: written and read as CSV, shown with its faults marked.

    partwise.schedule/1,gpipe,3,
    stage,0,1,2,3
    0,F0,F1,F2,
    1,,F0,F1,F2

The first row holds the format, the name, the number of microbatches and how many may be under way at once (empty: no
limit). A column is a slot: the grid shows the tasks as they run if each takes one slot and each stage waits for the
one before it. Reading looks at the order in a row only.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from partwise.errors import PlanError
from partwise.planning.schedule.check import Fault, faults
from partwise.planning.schedule.record import Pass, Schedule, Task
from partwise.planning.schedule.timeline import advance
from partwise.planning.schedule.times import even_times

__all__ = ["SCHEDULE_VERSION", "check_schedule", "format_schedule", "parse_schedule", "show_schedule"]

SCHEDULE_VERSION = "partwise.schedule/1"
_CELL = re.compile(r"([FB])(0|[1-9][0-9]{0,8})")


def format_schedule(schedule: Schedule) -> str:
    """The grid as CSV."""
    rows = _grid(schedule, ())
    limit = "" if schedule.in_flight is None else schedule.in_flight
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([SCHEDULE_VERSION, schedule.name, schedule.microbatches, limit])
    writer.writerow(["stage", *range(max(map(len, rows), default=0))])
    writer.writerows([stage, *row] for stage, row in enumerate(rows))
    return out.getvalue()


def parse_schedule(text: str, subject: str = "schedule") -> Schedule:
    """The schedule in a grid from anywhere.

    Raises:
        PlanError: another format, or a schedule that cannot run; the message shows the grid with the fault marked.
    """
    rows = list(csv.reader(io.StringIO(text)))
    if len(rows) < 2 or len(rows[0]) != 4 or rows[0][0] != SCHEDULE_VERSION or rows[1][:1] != ["stage"]:
        raise PlanError(subject, "is no schedule", expected=f"{SCHEDULE_VERSION} and its name, then a row `stage,0,…`")
    _, name, microbatches, limit = rows[0]
    for row, stage in zip(rows[2:], range(len(rows)), strict=False):
        if row[:1] != [str(stage)]:
            raise PlanError(subject, "its rows are not numbered as its stages", expected=stage, got=",".join(row[:1]))
    made = Schedule(
        name=name,
        microbatches=_number(microbatches, "microbatches", subject),
        stages=tuple(tuple(_task(cell, subject) for cell in row[1:] if cell) for row in rows[2:]),
        in_flight=_number(limit, "in flight", subject) if limit else None,
    )
    check_schedule(made, subject)
    return made


def check_schedule(schedule: Schedule, subject: str = "schedule") -> None:
    """Raise unless the schedule can run.

    Raises:
        PlanError: the first fault, and the grid with all of them marked.
    """
    if found := faults(schedule):
        raise PlanError(subject, found[0].what, hint=f"`!` marks it in the grid.\n{show_schedule(schedule, found)}")


def show_schedule(schedule: Schedule, found: Sequence[Fault] = ()) -> str:
    """The grid for people, a column a slot; a faulty task has a `!`, an unknown time stands after the last known."""
    rows = _grid(schedule, found)
    width = max((len(cell) for row in rows for cell in row), default=1)
    label = len(f"stage {len(rows) - 1}")
    lines = [
        f"stage {stage}".ljust(label) + " | " + " ".join((cell or "·").ljust(width) for cell in row).rstrip()
        for stage, row in enumerate(rows)
    ]
    return "\n".join(lines)


def _grid(schedule: Schedule, found: Sequence[Fault]) -> list[list[str]]:
    """Cells by stage and slot."""
    run = advance(schedule, even_times(len(schedule.stages), backward=schedule.has_backward))
    marked = {(fault.stage, fault.position) for fault in found}
    grid: list[list[str]] = []
    for stage, tasks in enumerate(schedule.stages):
        row: list[str] = []
        for position, task in enumerate(tasks):
            slot = round(run[stage][position].start_s) if position < len(run[stage]) else len(row)
            row += [""] * (slot - len(row))
            row.append(f"{task}!" if (stage, position) in marked else str(task))
        if (stage, len(tasks)) in marked:
            row.append("!")
        grid.append(row)
    longest = max(map(len, grid), default=0)
    return [row + [""] * (longest - len(row)) for row in grid]


def _task(cell: str, subject: str) -> Task:
    if (match := _CELL.fullmatch(cell.strip())) is None:
        raise PlanError(subject, "has a cell that is no task", expected="F0 or B0", got=cell)
    return Task(way=Pass(match[1]), microbatch=int(match[2]))


def _number(cell: str, name: str, subject: str) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) < 10):
        raise PlanError(subject, f"{name} is no number", got=cell)
    return int(cell)
