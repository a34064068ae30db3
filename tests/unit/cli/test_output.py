"""Progress says what is known: nothing of the rest before the first is done, then how long."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from partwise.cli.output import _Count, _Left, _Rate  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("done", "total", "words"),
    [
        (0, None, ("", "", "")),
        (0, 4, ("0/4", "", "")),
        (1, 4, ("1/4", "20.0 s each", "about 60.0 s left")),
        (40, 80, ("40/80", "2.0/s", "about 20.0 s left")),
        (80, 80, ("80/80", "4.0/s", "")),
    ],
)
def test_what_is_said_after_twenty_seconds(done: int, total: int | None, words: tuple[str, str, str]) -> None:
    clock = iter((0.0, *[20.0] * 20))
    progress = Progress(get_time=lambda: next(clock))
    progress.add_task("proved", total=total)
    (task,) = progress.tasks
    task.completed = done
    assert tuple(column.render(task).plain for column in (_Count(), _Rate(), _Left())) == words
