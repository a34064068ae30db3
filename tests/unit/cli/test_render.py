"""Tables: 100 columns, text cut short where it must be, figures never."""

from io import StringIO

import pytest
from rich.console import Console

from partwise.cli.tables import WIDTH, table


def test_a_figure_is_never_cut_short() -> None:
    rows = [("a_tensor_with_a_long_name, " * 3, "another_tensor, " * 5, "12345", "17.856 M"), ("b", "c", "1", "2")]
    out = StringIO()
    Console(file=out, width=WIDTH).print(table("T", ("receives", "gives", "blobs", "weights"), rows, left=2))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    assert len(lines) == 2 + len(rows)
    assert lines[2].endswith("12345  17.856 M")
    assert lines[2].count("…") == 2
    assert lines[1].split() == ["receives", "gives", "blobs", "weights"]


@pytest.mark.parametrize("width", [24, 40, 60, 80, 100])
def test_at_any_width_every_figure_is_there(width: int) -> None:
    columns = ("stage", "device", "nodes", "parameters", "weights", "peak memory", "FLOPs", "time")
    rows = [("0", "a-device-with-a-long-name", "152", "14.877 M", "56.8 MiB", "57.2 MiB", "190.317 M", "141 µs")] * 2
    out = StringIO()
    Console(file=out, width=width).print(table("Stages", columns, rows, left=2))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert all(text.count(figure) >= 2 for figure in rows[0][2:])


def test_names_of_figures_are_folded_before_a_figure_is_cut() -> None:
    columns = ("point", *(f"balance-memory-{number}" for number in range(9)))
    out = StringIO()
    Console(file=out, width=WIDTH).print(table("Front", columns, [("0", *["17.856 M"] * 9)]))
    text = out.getvalue()
    assert text.count("17.856 M") == 9
    assert "…" not in text
