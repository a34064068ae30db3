"""`partwise plan --pareto`: a front as a table and a plot of its first two axes; `--plot` saves the plot as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.text import Text

from partwise.cli.options import PATH, check_parent
from partwise.cli.tables import WIDTH, console, table
from partwise.errors import InputError
from partwise.files import write_whole
from partwise.planning import AXES, Front, FrontPoint, Objective, format_value
from partwise.units import format_bytes

__all__ = ["Axes", "check_plot", "pareto_options", "save_plot", "show_front"]

Command = TypeVar("Command", bound=Callable[..., Any])
_COLUMNS, _ROWS = 64, 16  # of the plot's field


class Axes(click.ParamType["tuple[Objective, ...]"]):
    """What a front weighs against each other: memory,time,traffic, or objectives."""

    name = "axis,axis…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Objective, ...]:
        if isinstance(value, tuple):
            return value  # pyright: ignore[reportUnknownVariableType]
        names = [part.strip() for part in str(value).split(",")]
        try:
            return tuple(AXES.get(name) or Objective(name) for name in names)
        except ValueError:
            known = ", ".join(dict.fromkeys([*AXES, *Objective]))
            self.fail(f"{value!r}: expected two or more of {known}", param, ctx)


def pareto_options(command: Command) -> Command:
    """`--pareto` and `--plot`."""
    text = "Instead of one plan a front: memory,time,traffic or objectives; takes --stages 2..12."
    plot = click.option("--plot", type=PATH, help="With --pareto: save its plot here, as SVG.")
    return click.option("--pareto", type=Axes(), help=text)(plot(command))


def check_plot(path: Path | None, axes: tuple[Objective, ...] | None) -> None:
    """Raise before any work where a plot could not be written.

    Raises:
        InputError: its folder is missing, or it is no .svg file.
    """
    if path is None:
        return
    if axes is None:
        raise click.UsageError("--plot is for --pareto.")
    if path.suffix != ".svg":
        raise InputError(str(path), "a plot is written as SVG", expected="a name that ends in .svg")
    check_parent(path)


def show_front(front: Front) -> None:
    """The table, and the plot of the first two axes."""
    out = console()
    columns = ("point", "best in", *front.axes, "under", "stages", "proved")
    rows = [_row(number, point, front) for number, point in enumerate(front.points)]
    out.print(table(f"{len(rows)} plans on the front ({front.asked} questions)", columns, rows, left=2))
    out.print(plot(front))


def save_plot(front: Front, path: Path) -> None:
    """The plot as an SVG file."""
    recorder = Console(record=True, width=WIDTH, file=_Nowhere(), highlight=False)  # type: ignore[arg-type]
    recorder.print(plot(front))
    write_whole(path, recorder.export_svg(title="Plans, none better than another in everything").encode())


def plot(front: Front) -> Text:
    """The points over the first two axes, each by its number in the table."""
    horizontal, vertical = ([point.values[axis] for point in front.points] for axis in (0, 1))
    field = [[" "] * (_COLUMNS + 3) for _ in range(_ROWS)]
    for number, (x, y) in enumerate(zip(horizontal, vertical, strict=True)):
        row, column = _ROWS - 1 - _place(y, vertical, _ROWS), _place(x, horizontal, _COLUMNS)
        for position, character in enumerate(str(number)):
            if field[row][column + position] == " ":
                field[row][column + position] = character
    across, up = front.axes[:2]
    top, bottom = (format_value(up, pick(vertical)) for pick in (max, min))
    left, right = (format_value(across, pick(horizontal)) for pick in (min, max))
    margin = max(len(top), len(bottom))
    labels = [top, *[""] * (_ROWS - 2), bottom]
    lines = [f"{label:>{margin}} │{''.join(row).rstrip()}" for label, row in zip(labels, field, strict=True)]
    lines.append(f"{'':>{margin}} └{'─' * (_COLUMNS + 2)}")
    lines.append(f"{'':>{margin}}  {left}{right:>{_COLUMNS + 2 - len(left)}}")
    return Text("\n".join([f"{up} over {across}", *lines]))


def _place(value: float, values: Sequence[float], cells: int) -> int:
    low, high = min(values), max(values)
    return round((value - low) / (high - low) * (cells - 1)) if high > low else 0


def _row(number: int, point: FrontPoint, front: Front) -> tuple[str, ...]:
    under = "no limit" if point.memory_bytes is None else format_bytes(point.memory_bytes)
    values = (format_value(axis, value) for axis, value in zip(front.axes, point.values, strict=True))
    proved = "yes" if point.proved else "no"
    return (str(number), point.objectives[0], *values, under, str(len(point.devices)), proved)


class _Nowhere:
    """A stream that keeps nothing: the console records by itself."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass
