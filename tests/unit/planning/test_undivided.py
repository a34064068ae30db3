"""A plan that leaves devices empty says why."""

from __future__ import annotations

import pytest

from graphs import chain
from partwise.hardware import REFERENCE_DEVICE, Cluster, Link, equal_devices
from partwise.planning import Limits, Objective, Terms, plan
from partwise.profiling import profile

GRAPH = chain([512] * 9, rows=64)


def cluster(bytes_per_s: float) -> Cluster:
    return equal_devices(REFERENCE_DEVICE, Link(name="link", bytes_per_s=bytes_per_s, latency_s=1e-6), 2)


def notes(where: Cluster, *objectives: Objective, stages: int | None = None) -> str:
    return "; ".join(plan(GRAPH, profile(GRAPH), Limits(stages=stages), objectives, Terms(cluster=where)).notes)


def test_what_the_best_division_tried_would_take() -> None:
    found = notes(cluster(1e8), Objective.THROUGHPUT)
    assert "do not split: " in found
    assert "sends 128 KiB" in found  # 64 rows of 512 float32
    alone = plan(GRAPH, profile(GRAPH), Limits(), [Objective.THROUGHPUT], Terms(cluster=cluster(1e8))).value
    two = plan(GRAPH, profile(GRAPH), Limits(stages=2), [Objective.THROUGHPUT], Terms(cluster=cluster(1e8))).value
    assert two > alone


@pytest.mark.parametrize("objective", [Objective.THROUGHPUT, Objective.TRAFFIC])
def test_nothing_to_say_where_it_is_divided_or_was_asked_for(objective: Objective) -> None:
    assert "do not split" not in notes(cluster(1e13), Objective.THROUGHPUT)
    assert "do not split" not in notes(cluster(1e8), objective, stages=1)
