"""Tables: 100 columns, text cut short where it must be, figures never."""

from io import StringIO

from rich.console import Console

from partwise.cli.render import WIDTH, table


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
