"""Where results go: JSON or a table on stdout, times and progress on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import click
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from partwise.cli.tables import console
from partwise.digest import canonical_json
from partwise.units import format_seconds

__all__ = ["counted", "print_json", "timed"]


def print_json(data: object) -> None:
    """A record on stdout, as one line of canonical JSON."""
    click.echo(canonical_json(data).decode())


@contextmanager
def timed(what: str) -> Generator[None]:
    """A spinner while something runs, and how long it took, both on stderr."""
    start = time.monotonic()
    with _progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
        progress.add_task(what)
        yield
    click.echo(f"{what}: {format_seconds(time.monotonic() - start)}", err=True)


@contextmanager
def counted(what: str) -> Generator[Callable[[str, int, int | None], None]]:
    """A bar with an estimate; yields a function of (what is being done, how much is done, how much there is)."""
    start = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), _Count(), _Rate())
    with _progress(*columns, _Left()) as progress:
        task = progress.add_task(what, total=None)
        yield lambda doing, done, total: progress.update(task, description=doing, completed=done, total=total)
    click.echo(f"{what}: {format_seconds(time.monotonic() - start)}", err=True)


class _Count(ProgressColumn):
    """How many are done of how many; nothing as long as nobody knows."""

    def render(self, task: Task) -> Text:
        return Text("" if task.total is None else f"{task.completed:.0f}/{task.total:.0f}")


class _Rate(ProgressColumn):
    """How many are done in a second, or how long one takes."""

    def render(self, task: Task) -> Text:
        if not task.elapsed or not task.completed:
            return Text("")
        speed = task.completed / task.elapsed
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{format_seconds(1 / speed)} each")


class _Left(ProgressColumn):
    """How long it will still take if the rest is like what is done; from the first one on."""

    def render(self, task: Task) -> Text:
        if not task.elapsed or not task.completed or task.total is None or task.completed >= task.total:
            return Text("")
        left = task.elapsed * (task.total - task.completed) / task.completed
        return Text(f"about {format_seconds(max(left, 1))} left")


def _progress(*columns: object) -> Progress:
    shown = sys.stderr.isatty()
    return Progress(*columns, console=console(error=True), transient=True, disable=not shown)  # pyright: ignore[reportArgumentType]
