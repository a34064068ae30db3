"""Members that slow links part: plans stay together where that is best, and the bound knows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from graphs import chain
from partwise.hardware import REFERENCE_DEVICE, Cluster, Link, Member, Wire
from partwise.planning import Limits, Objective, Plan, Terms, plan
from partwise.profiling import profile

GRAPH = chain([2048] * 17, rows=256)
FAST, SLOW = (Link(name=name, bytes_per_s=rate, latency_s=1e-6) for name, rate in (("fast", 1e12), ("slow", 1e8)))
MEMBERS = tuple(Member(name=f"d{n}", device=REFERENCE_DEVICE, host="ab"[n // 2]) for n in range(4))
TWO_HOSTS = Cluster(name="two hosts", members=MEMBERS, within=FAST, between=SLOW)
ONE_HOST = replace(TWO_HOSTS, members=MEMBERS[:2])


def planned(cluster: Cluster, objective: Objective, stages: int | None = None) -> Plan:
    return plan(GRAPH, profile(GRAPH), Limits(stages=stages), [objective], Terms(cluster=cluster))


@pytest.mark.parametrize("objective", [Objective.THROUGHPUT, Objective.LATENCY])
def test_a_plan_stays_on_one_host_where_the_next_is_too_far(objective: Objective) -> None:
    alone, both = planned(ONE_HOST, objective), planned(TWO_HOSTS, objective)
    assert both.value == pytest.approx(alone.value, rel=1e-9)
    assert both.value == pytest.approx(both.bound, rel=1e-9)
    assert len({TWO_HOSTS.member(stage.device).host for stage in both.stages}) == 1


def test_a_plan_that_must_cross_does_so_once() -> None:
    made = planned(TWO_HOSTS, Objective.THROUGHPUT, stages=3)
    hosts = [TWO_HOSTS.member(stage.device).host for stage in made.stages]
    assert sum(one != other for one, other in pairwise(hosts)) == 1
    assert made.bound >= SLOW.latency_s + 256 * 2048 * 4 / SLOW.bytes_per_s


def test_links_between_members_name_islands_of_their_own() -> None:
    """Three members, of which a wire of its own connects two."""
    cluster = Cluster(
        name="wired", members=MEMBERS[:3], within=SLOW, between=SLOW, wires=(Wire(ends=("d0", "d2"), link=FAST),)
    )
    made = planned(cluster, Objective.THROUGHPUT)
    assert {stage.device for stage in made.stages} == {"d0", "d2"}
    assert made.value <= made.bound * 1.01
