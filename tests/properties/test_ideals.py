"""The exact solver against brute force: every acyclic partition, on equal and unequal devices, with limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations, product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from graphs import random_graph
from partwise.errors import InfeasibleError
from partwise.hardware import Cluster, Member, equal_devices, find_device, find_link
from partwise.ir import contract
from partwise.planning import Limits, Objective, Plan, Stage, Terms, plan
from partwise.planning.bounds import find_bound
from partwise.planning.evaluator import Assignment, Evaluator
from partwise.planning.orders import flow_of
from partwise.planning.problem import formulate
from partwise.planning.rates import RateTable
from partwise.profiling import profile

TOLERANCE = 1e-9
SMALL_LINK = find_link("ethernet-10g")
DEVICES = [
    replace(find_device("a100"), price_usd_per_hour=2.0),
    replace(find_device("rtx3060"), price_usd_per_hour=0.3),
]
graphs = st.builds(random_graph, st.integers(0, 100_000), st.integers(2, 6))
objectives = st.sampled_from(Objective)


def partitions(graph, most: int, cluster: Cluster) -> Iterator[Assignment]:
    """Every assignment of units to at most so many stages in which values only go forward."""
    problem = formulate(contract(graph), RateTable(profile(graph), cluster))
    units, after = problem.units, flow_of(problem).after
    for stages in range(1, min(most, len(units)) + 1):
        for homes in product(range(stages), repeat=len(units)):
            if len(set(homes)) == stages and all(homes[u] <= homes[o] for u in range(len(units)) for o in after[u]):
                yield tuple(
                    tuple(sorted(n for u, nodes in enumerate(units) if homes[u] == s for n in nodes))
                    for s in range(stages)
                )


def least(graph, cluster: Cluster, limits: Limits, objective: Objective) -> float | None:
    """The smallest value of any partition on any members that keeps the limits."""
    evaluator = Evaluator(contract(graph), RateTable(profile(graph), cluster))
    names = [member.name for member in cluster.members]
    found: float | None = None
    for nodes in partitions(graph, limits.stages or len(names), cluster):
        if limits.stages is not None and len(nodes) != limits.stages:
            continue
        choices = [names * len(nodes)] if cluster.is_open else permutations(names, len(nodes))
        priced = evaluator.price(nodes, [names[0]] * len(nodes))
        for devices in {tuple(choice)[: len(nodes)] for choice in choices}:
            stages, cuts = evaluator.price(nodes, devices) if not cluster.is_open else priced
            if not evaluator.overfull(stages, limits) and not is_overflowing(stages, cluster):
                value = evaluator.measured(stages, cuts, [objective])[0]
                found = value if found is None else min(found, value)
    return found


def is_overflowing(stages: Sequence[Stage], cluster: Cluster) -> bool:
    return any(
        sum(stage.peak_bytes for stage in stages if cluster.member(stage.device).pool == pool) > size
        for pool, size in cluster.pools.items()
    )


def planned(graph, cluster: Cluster, limits: Limits, objective: Objective) -> Plan | None:
    try:
        return plan(graph, profile(graph), limits, [objective], Terms(cluster=cluster, solver="ideals"))
    except InfeasibleError:
        return None


@settings(max_examples=150, deadline=None)
@given(graphs, objectives, st.integers(1, 4), st.none() | st.floats(0.3, 1))
def test_equal_devices(graph, objective: Objective, stages: int, share: float | None) -> None:
    cluster = equal_devices(DEVICES[0], SMALL_LINK)
    memory = None if share is None else int(profile(graph).peak_bytes * share)
    limits = Limits(stages=stages, memory_bytes=memory)
    best, made = least(graph, cluster, limits, objective), planned(graph, cluster, limits, objective)
    assert (best is None) == (made is None)
    if best is not None and made is not None:
        assert made.value == pytest.approx(best, rel=TOLERANCE)
        assert made.bound <= best * (1 + TOLERANCE)


def unequal(shares: tuple[float, float, float], whole: int) -> Cluster:
    """Two devices of one type and one of another, with memory as shares of what the whole model needs."""
    kinds = (DEVICES[0], DEVICES[1], DEVICES[1])
    members = [
        Member(name=f"device-{number}", device=kind, memory_bytes=int(whole * share))
        for number, (kind, share) in enumerate(zip(kinds, shares, strict=True))
    ]
    return Cluster(name="unequal", members=tuple(members), within=SMALL_LINK)


@settings(max_examples=120, deadline=None)
@given(graphs, objectives, st.tuples(st.floats(0.2, 1.1), st.floats(0.2, 1.1)), st.none() | st.integers(1, 3))
def test_unequal_devices(graph, objective: Objective, shares: tuple[float, float], stages: int | None) -> None:
    cluster = unequal((shares[0], shares[1], shares[1]), profile(graph).peak_bytes)
    limits = Limits(stages=stages)
    best, made = least(graph, cluster, limits, objective), planned(graph, cluster, limits, objective)
    assert (best is None) == (made is None)
    if best is not None and made is not None:
        assert made.value == pytest.approx(best, rel=TOLERANCE)
        assert made.bound <= best * (1 + TOLERANCE)


@settings(max_examples=80, deadline=None)
@example(random_graph(7103, 6), Objective.THROUGHPUT, 1.763671875)  # over by one byte: one peak may stay, not both
@given(graphs, objectives, st.floats(0.8, 2))
def test_devices_that_share_memory(graph, objective: Objective, share: float) -> None:
    whole = profile(graph).peak_bytes
    apart = unequal((0.9, 0.9, 0.9), whole)
    members = tuple(replace(member, pool="ram" if number else "") for number, member in enumerate(apart.members))
    cluster = replace(apart, members=members, pools={"ram": int(whole * share * 0.6)})
    best, made = least(graph, cluster, Limits(), objective), planned(graph, cluster, Limits(), objective)
    assert (best is None) == (made is None)
    if best is not None and made is not None:
        assert made.value == pytest.approx(best, rel=TOLERANCE)
        assert made.bound <= best * (1 + TOLERANCE)


@settings(max_examples=60, deadline=None)
@given(graphs, st.sampled_from((Objective.BALANCE, Objective.THROUGHPUT)), st.integers(1, 3))
def test_what_devices_that_differ_do_by_their_speed(graph, objective: Objective, stages: int) -> None:
    """The bound that asks no search is above no partition either."""
    cluster = unequal((10, 10, 10), profile(graph).peak_bytes)
    problem = formulate(contract(graph), RateTable(profile(graph), cluster))
    for count in (None, stages):
        limits = Limits(stages=count)
        best = least(graph, cluster, limits, objective)
        assert best is None or find_bound(problem, limits, objective, count).value <= best * (1 + TOLERANCE)


@settings(max_examples=60, deadline=None)
@given(graphs, objectives, st.sampled_from(("ethernet-1g", "ethernet-10g")), st.none() | st.integers(1, 3))
def test_links_that_differ(graph, objective: Objective, slow: str, stages: int | None) -> None:
    """Two members of one host and one of another: the bound is none above a plan, the value that of a plan."""
    kinds = (DEVICES[0], DEVICES[0], DEVICES[1])
    members = tuple(
        Member(name=f"device-{number}", device=kind, host="desk" if number < 2 else "shelf")
        for number, kind in enumerate(kinds)
    )
    cluster = Cluster(name="two hosts", members=members, within=find_link("pcie4-x16"), between=find_link(slow))
    limits = Limits(stages=stages)
    best, made = least(graph, cluster, limits, objective), planned(graph, cluster, limits, objective)
    assert (best is None) == (made is None)
    if best is not None and made is not None:
        assert made.bound <= best * (1 + TOLERANCE)
        assert made.value >= best * (1 - TOLERANCE)
