"""The console that nothing is wider on than 100 columns, and tables that fit it at any width."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from partwise.cli.streams import plain_text

__all__ = ["WIDTH", "TableOfFigures", "console", "table"]

WIDTH = 100
_BETWEEN = 2  # columns of space between two columns of a table
_LEAST = 8  # columns of the screen that a text is cut short to


def console(*, error: bool = False) -> Console:
    """A console that never writes wider than 100 columns."""
    stream = sys.stderr if error else sys.stdout
    width = min(Console(file=stream).width, WIDTH) if stream.isatty() else WIDTH
    return _Console(file=stream, highlight=False, width=width)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads any more: rich would end with 1, which says that something was rejected."""
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Only rich's own control codes reach the terminal, none of a name or a reason."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain_text(segment.text), segment.style)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> TableOfFigures:
    """A table whose first `left` columns are text and whose other columns are figures."""
    return TableOfFigures(title, tuple(columns), tuple(map(tuple, rows)), left)


@dataclass(frozen=True, slots=True)
class TableOfFigures:
    """Where it is too wide, names of figures are folded and text is cut short; a figure never is: where there is no
    room for all of them side by side, each row is a list."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = self._widths(options.max_width)
        yield self._as_lists() if widths is None else self._side_by_side(widths)

    def _widths(self, most: int) -> list[int] | None:
        """Of each column; None where the figures have no room side by side."""
        cells = [max([1, *(cell_len(row[place]) for row in self.rows)]) for place in range(len(self.columns))]
        whole = [max(pair) for pair in zip(map(cell_len, self.columns), cells, strict=True)]
        texts, room = range(self.left), most - _BETWEEN * (len(cells) - 1)
        for least in range(_LEAST, 0, -1):  # names of figures are broken into pieces of so many letters
            widths = [
                min(size, max(_LEAST if place in texts else cells[place], least)) for place, size in enumerate(whole)
            ]
            if (spare := room - sum(widths)) >= 0:
                break
        else:
            return None
        for places in (range(self.left, len(widths)), texts):
            for place in _shortest_first(places, widths, whole, spare):
                widths[place] += 1
                spare -= 1
        return widths

    def _side_by_side(self, widths: Sequence[int]) -> Table:
        made = self._empty(show_header=True)
        for place, (column, width) in enumerate(zip(self.columns, widths, strict=True)):
            name = Text(column, no_wrap=False, overflow="fold")
            made.add_column(name, justify="left" if place < self.left else "right", width=width)
        for row in self.rows:
            made.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in row))
        return made

    def _as_lists(self) -> Table:
        made = self._empty(show_header=False)
        made.add_column(style="dim", overflow="fold")
        made.add_column(overflow="fold")
        for number, row in enumerate(self.rows):
            for name, cell in zip(self.columns, row, strict=True):
                made.add_row(name, Text(cell, overflow="fold"))
            if number + 1 < len(self.rows):
                made.add_row("", "")
        return made

    def _empty(self, *, show_header: bool) -> Table:
        return Table(
            title=self.title,
            title_justify="left",
            title_style="bold",
            box=None,
            pad_edge=False,
            header_style="dim",
            show_header=show_header,
        )


def _shortest_first(places: Iterable[int], widths: list[int], whole: Sequence[int], spare: int) -> Iterator[int]:
    """Columns to widen by one, the narrowest of those that lack something first, as long as there is room."""
    for _ in range(spare):
        lacking = [place for place in places if widths[place] < whole[place]]
        if not lacking:
            return
        yield min(lacking, key=lambda place: widths[place])
