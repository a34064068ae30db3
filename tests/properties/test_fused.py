"""Plans of graphs whose nodes run fused: as good as brute force says, bounded, priced alike by solver and evaluator."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partwise.ir import contract
from partwise.planning import Limits, Objective, Terms, plan
from partwise.planning.evaluator import Evaluator
from partwise.planning.rates import rate_table
from partwise.profiling import Rules, profile
from properties.test_ideals import TOLERANCE, graphs, partitions, unequal

TIMED = (Objective.BALANCE, Objective.THROUGHPUT, Objective.LATENCY, Objective.ENERGY)
rules = st.sampled_from([Rules.PATTERNS, Rules.OPTIMAL])


@settings(max_examples=80, deadline=None)
@given(graphs, st.sampled_from(TIMED), rules, st.none() | st.integers(1, 3))
def test_no_partition_is_better(graph, objective: Objective, fusion: Rules, stages: int | None) -> None:
    counted, contraction = profile(graph), contract(graph)
    cluster = unequal((2, 2, 2), counted.peak_bytes)
    if stages is not None and stages > len(contraction.placed):
        return
    made = plan(
        graph, counted, Limits(stages=stages), [objective], Terms(cluster=cluster, solver="ideals", fusion=fusion)
    )
    evaluator = Evaluator(contraction, rate_table(contraction, counted, cluster, rules=fusion))
    names = [member.name for member in cluster.members]
    best = min(
        evaluator.values(nodes, devices, [objective])[0]
        for nodes in partitions(graph, stages or len(names), cluster)
        if stages in (None, len(nodes))
        for devices in permutations(names, len(nodes))
    )
    assert made.value == pytest.approx(best, rel=TOLERANCE)
    assert made.bound <= best * (1 + TOLERANCE)


@settings(max_examples=60, deadline=None)
@given(graphs, rules, st.data())
def test_a_cut_costs_what_fusion_saved(graph, fusion: Rules, data: st.DataObject) -> None:
    """Whole units take their fused time, nodes all apart their time alone; a division lies between."""
    counted, contraction = profile(graph), contract(graph)
    cluster = unequal((2, 2, 2), counted.peak_bytes)
    fused, alone = (rate_table(contraction, counted, cluster, rules=each) for each in (fusion, Rules.NONE))
    name = cluster.members[0].name
    kinds = data.draw(st.lists(st.integers(0, 2), min_size=len(contraction.placed), max_size=len(contraction.placed)))
    parts = [[n for n, kind in zip(contraction.placed, kinds, strict=True) if kind == k] for k in range(3)]
    whole, single = (sum(table.of(name).seconds[n] for n in contraction.placed) for table in (fused, alone))

    def total(groups: list[list[int]]) -> float:
        rates = fused.of(name)
        return whole + sum(rates.cut_seconds[unit] for group in groups for unit in fused.cuts(group))

    assert total([list(contraction.placed)]) == whole <= single * (1 + TOLERANCE)
    assert total([[n] for n in contraction.placed]) == pytest.approx(single, rel=1e-9)
    assert whole * (1 - TOLERANCE) <= total(parts) <= single * (1 + TOLERANCE)


def test_there_are_units_to_cut() -> None:
    """The graphs above have fused units, or the tests would say nothing."""
    from graphs import chain

    graph = chain([8, 8, 8])
    found = rate_table(contract(graph), profile(graph), unequal((2, 2, 2), 10**6), rules=Rules.OPTIMAL)
    assert found.units
    assert all(cost > 0 for member, unit in product(found.cluster.members, range(len(found.units)))
               for cost in [found.of(member.name).cut_seconds[unit]])  # fmt: skip
