"""Predictions beside traces."""

from __future__ import annotations

import json

import pytest

from graphs import chain
from partwise.calibration import compare, parse_trace
from partwise.errors import InputError
from partwise.hardware import find_device
from partwise.profiling import estimate, profile

GRAPH = chain([8, 8])
MADE = estimate(profile(GRAPH), find_device("intel-i7"))
LINEAR, RELU = (node.name for node in GRAPH.nodes)


def trace(**changed: object) -> bytes:
    def span(request: int, stage: int, took: float, **more: object) -> dict[str, object]:
        return {"request": request, "stage": stage, "start_s": 1.0, "end_s": 1.0 + took, **more}

    data = {
        "version": "partwise.trace/1",
        "segments": [span(0, 0, 1e-3), span(0, 1, 2e-3), span(1, 0, 2e-3), span(1, 1, 3e-3), span(2, 0, 9.0)],
        "nodes": [span(0, 0, 1e-3, node=LINEAR), span(1, 0, 3e-3, node=LINEAR), span(0, 1, 4e-3, node="stranger")],
    }
    return json.dumps(data | changed).encode()


def test_medians_over_requests_and_sums_over_stages() -> None:
    found = compare(parse_trace(trace(), "t.json"), GRAPH, MADE)
    assert found.measured_s == pytest.approx(5e-3)
    assert found.predicted_s == MADE.seconds
    assert found.error == pytest.approx(MADE.seconds / 5e-3 - 1)
    (linear,) = found.nodes
    assert (linear.name, linear.op) == (LINEAR, "aten.linear.default")
    assert linear.measured_s == pytest.approx(2e-3)
    assert found.unmatched == 1


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", trace(version="other/1"), trace(segments=[]), trace(segments=[{"request": "x"}])]
)
def test_what_is_no_trace_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"t\.json"):
        parse_trace(data, "t.json")
