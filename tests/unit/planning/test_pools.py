"""Memory that devices share: what is answered when the questions run out, and what a note compares with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphs import chain
from partwise.errors import InfeasibleError
from partwise.hardware import REFERENCE_DEVICE, Cluster, Link, equal_devices
from partwise.planning import Limits, Objective, Plan, Terms, check_plan, plan, pools
from partwise.profiling import profile

GRAPH = chain([256] * 9, rows=256)
WHOLE = profile(GRAPH).peak_bytes


def sharing(size: int, count: int = 3) -> Cluster:
    link = Link(name="link", bytes_per_s=1e12, latency_s=0.0)
    apart = equal_devices(REFERENCE_DEVICE, link, count)
    members = tuple(replace(member, pool="ram") for member in apart.members)
    return replace(apart, members=members, pools={"ram": size})


def planned(size: int, count: int = 3) -> Plan:
    return plan(GRAPH, profile(GRAPH), Limits(), [Objective.THROUGHPUT], Terms(cluster=sharing(size, count)))


def test_a_plan_that_fits_is_found_where_the_questions_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    size = WHOLE + 600_000
    exact = planned(size)
    assert exact.gap == 0
    monkeypatch.setattr(pools, "_QUESTIONS", 0)
    made = planned(size)
    check_plan(made)  # the memory is kept
    assert made.bound <= exact.value <= made.value
    assert any("not all of which were followed up" in note for note in made.notes)


def test_no_note_compares_with_a_division_that_does_not_fit() -> None:
    alone = planned(WHOLE, 2)
    assert len(alone.stages) == 1
    assert not any("divisions" in note for note in alone.notes)
    assert len(planned(10 * WHOLE, 2).stages) == 2


def test_what_is_missing_is_said_of_the_memory_that_is_shared() -> None:
    with pytest.raises(InfeasibleError, match=r"the largest device has 1\.00 MiB; expected about .* got 1\.00 MiB"):
        planned(2**20)
