"""`run --watch`: the table, and that what is shown was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.packages import example, small_package

from partwise.cli.main import main


@pytest.mark.parametrize("kept", [False, True])
def test_the_last_table_counts_every_task(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = small_package(tmp_path / "package", "null")
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(7):
        np.savez(frames / f"{number}.npz", **example(seed=number))  # pyright: ignore[reportArgumentType]
    words = ["run", str(package.path), "--input", str(frames), "--watch", "--executor", "in-process"]
    words += ["--trace", str(tmp_path / "trace.json"), "--trace-format", "perfetto"] if kept else []
    monkeypatch.setattr(sys, "argv", ["partwise", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    shown = capsys.readouterr().err
    assert "run requests: 7 of 7" in shown
    rows = [line.split() for line in shown.splitlines() if line.split()[:1] in (["0"], ["1"], ["2"])]
    assert [row[1] for row in rows] == ["7", "7", "7"]
    assert max(map(len, shown.splitlines())) <= 100
    if kept:
        events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
        assert sum(event.get("cat") == "segment" for event in events) == 21
