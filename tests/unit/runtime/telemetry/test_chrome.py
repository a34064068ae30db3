"""A trace for Perfetto: the rules of the Trace Event Format, checked over what real runs leave."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import pytest

from partwise.runtime import EXECUTORS, run_package
from partwise.runtime.telemetry import chrome_trace
from partwise.runtime.trace import NodeSpan, SegmentSpan, Trace
from tests.packages import example, small_package

Event = dict[str, Any]


def assert_valid(data: Any) -> list[Event]:
    """What a viewer relies on; the events."""
    events: list[Event] = data["traceEvents"]
    open_async: dict[tuple[str, int], Event] = {}
    flows: dict[int, list[Event]] = defaultdict(list)
    complete: dict[tuple[int, int], list[Event]] = defaultdict(list)
    for event in events:
        assert {"name", "ph", "ts", "pid", "tid"} <= event.keys()
        assert isinstance(event["ts"], float)
        assert event["ts"] >= 0
        match event["ph"]:
            case "X":
                assert event["dur"] >= 0
                complete[event["pid"], event["tid"]].append(event)
            case "b":
                assert (event["cat"], event["id"]) not in open_async
                open_async[event["cat"], event["id"]] = event
            case "e":
                begun = open_async.pop((event["cat"], event["id"]))
                assert begun["ts"] <= event["ts"]
                assert begun["pid"] == event["pid"]
            case "s" | "f":
                flows[event["id"]].append(event)
            case "C":
                assert all(isinstance(value, float) for value in event["args"].values())
            case phase:
                assert phase == "M"
                assert event["name"] in ("process_name", "process_sort_index", "thread_name")
    assert not open_async
    for on_thread in complete.values():
        assert_nested(on_thread)
    for pair in flows.values():
        assert [event["ph"] for event in pair] == ["s", "f"]
        assert pair[0]["ts"] <= pair[1]["ts"]
        assert all(lies_in_one(event, complete[event["pid"], event["tid"]]) for event in pair)
    return events


def nanoseconds(microseconds: float) -> int:
    """As Perfetto's importer reads a time: to the nearest."""
    return round(microseconds * 1000)


def assert_nested(events: list[Event]) -> None:
    """Complete events of one thread lie within or beside each other, never across, not even by a nanosecond: the
    importer takes them by their starts, the longer ones first, and drops one that ends after the one around it."""
    stack = list[int]()
    for event in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
        start, end = nanoseconds(event["ts"]), nanoseconds(event["ts"]) + nanoseconds(event["dur"])
        while stack and stack[-1] <= start:
            stack.pop()
        assert not stack or end <= stack[-1]
        stack.append(end)


def lies_in_one(event: Event, slices: list[Event]) -> bool:
    """An arrow's end: the importer binds it to the innermost event of its thread then."""
    when = nanoseconds(event["ts"])
    starts = ((nanoseconds(s["ts"]), nanoseconds(s["dur"])) for s in slices)
    return any(start <= when <= start + length for start, length in starts)


@pytest.mark.parametrize("executor", [name for name in EXECUTORS if name != "ray"])
def test_a_runs_trace_is_valid_and_holds_everything(executor: str, tmp_path: Path) -> None:
    package = small_package(tmp_path / "package", "null")
    out = tmp_path / "trace.json"
    requests = [example(seed=number) for number in range(5)]
    run_package(package, requests, executor=executor, save=False, trace=out, trace_nodes=True, trace_format="perfetto")
    events = assert_valid(json.loads(out.read_text()))
    kinds = [event.get("cat") for event in events if event["ph"] in "Xbs"]
    assert kinds.count("segment") == 15
    assert kinds.count("handover") == 5 * 5, "x and mask come in twice, and three values go on"
    assert kinds.count("flow") == 5 * 3
    assert kinds.count("node") > 15
    names = {event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names == {"caller", "stage 0", "stage 1", "stage 2"}


def test_tasks_of_one_stage_that_overlap_lie_in_lanes() -> None:
    spans = [
        SegmentSpan(request=n, stage=0, start_s=start, end_s=end, input_bytes=0, output_bytes=0)
        for n, (start, end) in enumerate([(0, 2), (1, 3), (2, 4), (2.5, 2.6)])
    ]
    data = chrome_trace(Trace(segments=spans), package="", executor="", threads=1)
    lanes = [event["tid"] for event in assert_valid(data) if event["ph"] == "X"]
    assert lanes == [0, 1, 0, 2]


def test_no_event_crosses_another_by_a_nanosecond() -> None:
    """Lengths that were rounded by themselves would make every few tasks of a stage cross the next one."""
    chance, start_s = Random(1), 1000.0
    spans, nodes = list[SegmentSpan](), list[NodeSpan]()
    for request in range(500):
        times = [start_s := start_s + chance.random() * 1e-6 for _ in range(4)]
        common: dict[str, Any] = {"request": request, "stage": 0}
        spans.append(SegmentSpan(**common, start_s=times[0], end_s=times[3], input_bytes=0, output_bytes=0))
        nodes += [NodeSpan(**common, node=f"n{n}", start_s=times[n], end_s=times[n + 1]) for n in range(3)]
        start_s = times[3]
    events = assert_valid(chrome_trace(Trace(segments=spans, nodes=nodes), package="", executor="", threads=1))
    assert sum(event["ph"] == "X" for event in events) == 2000


def test_a_fault_in_a_trace_is_found() -> None:
    """The check itself: events across each other, and one that never ends."""
    span = {"ph": "X", "pid": 1, "tid": 0, "name": "a", "ts": 0.0, "dur": 5.0}
    with pytest.raises(AssertionError):
        assert_valid({"traceEvents": [span, {**span, "ts": 3.0}]})
    with pytest.raises(AssertionError):
        assert_valid({"traceEvents": [{**span, "ph": "b", "cat": "c", "id": 1}]})


def test_nothing_measured_is_an_empty_picture() -> None:
    assert assert_valid(chrome_trace(Trace(), package="", executor="", threads=1)) == []
