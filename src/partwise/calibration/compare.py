"""A prediction beside what a run measured: node by node, and in all."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from partwise.errors import InputError
from partwise.ir import Graph
from partwise.profiling import Estimate
from partwise.runtime.trace import TRACE_VERSION
from partwise.strict_json import json_record

__all__ = ["Comparison", "MeasuredTrace", "NodeTimes", "compare", "parse_trace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    request: int
    stage: int
    start_s: float
    end_s: float
    node: str = ""

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTrace:
    """What of a trace a prediction can be compared with."""

    version: str
    segments: tuple[_Span, ...] = field(repr=False)
    nodes: tuple[_Span, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTimes:
    """One node, or several that were predicted as one kernel."""

    name: str
    op: str
    predicted_s: float
    measured_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Predicted beside measured; of several requests the medians."""

    predicted_s: float
    measured_s: float
    """Of all segments one after the other, hand-overs left out."""
    nodes: tuple[NodeTimes, ...]
    """Those with a measured time, the longest first; empty where the trace has no nodes."""
    unmatched: int
    """Measured nodes that the graph does not have by that name."""

    @property
    def error(self) -> float:
        """Predicted ÷ measured − 1."""
        return self.predicted_s / self.measured_s - 1


def parse_trace(data: bytes, subject: str) -> MeasuredTrace:
    """A file of `run --trace`.

    Raises:
        InputError: it is none.
    """
    found = json_record(data, MeasuredTrace, subject, what="is no trace", expected="a file of `run --trace`")
    if found.version != TRACE_VERSION or not found.segments:
        raise InputError(subject, "is no trace of this version", expected=TRACE_VERSION, got=found.version[:60])
    return found


def compare(trace: MeasuredTrace, graph: Graph, made: Estimate) -> Comparison:
    """A prediction beside a trace of the same graph.

    Args:
        trace: of a run of a package that was cut from this graph.
        graph: what was predicted.
        made: the prediction.
    """
    measured = _medians(trace.nodes)
    rows = list[NodeTimes]()
    for group in made.groups:
        names = [name for index in group.nodes for name in graph.nodes[index].outputs]
        if taken := [measured[name] for name in names if name in measured]:
            first = graph.nodes[group.nodes[0]]
            rows.append(NodeTimes(name=first.name, op=first.op, predicted_s=group.seconds, measured_s=sum(taken)))
    known = {name for node in graph.nodes for name in node.outputs}
    return Comparison(
        predicted_s=made.seconds,
        measured_s=_total(trace.segments),
        nodes=tuple(sorted(rows, key=lambda row: (-row.measured_s, row.name))),
        unmatched=len(set(measured) - known),
    )


def _medians(spans: Sequence[_Span]) -> dict[str, float]:
    by_name: dict[str, list[float]] = {}
    for span in spans:
        by_name.setdefault(span.node, []).append(span.seconds)
    return {name: statistics.median(times) for name, times in by_name.items()}


def _total(spans: Sequence[_Span]) -> float:
    """Median over requests of all stages' times."""
    totals: dict[int, float] = {}
    for span in spans:
        totals[span.request] = totals.get(span.request, 0.0) + span.seconds
    return statistics.median(totals.values())
