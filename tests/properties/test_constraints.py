"""The exact solver with pins and groups, against brute force over every acyclic partition that keeps them."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import random_graph
from partwise.errors import InfeasibleError, InputError
from partwise.ir import contract
from partwise.planning import Constraints, Limits, Objective, Pin, Terms, plan
from partwise.planning.evaluator import Evaluator
from partwise.planning.rates import RateTable
from partwise.profiling import profile
from properties.test_ideals import TOLERANCE, graphs, is_overflowing, objectives, partitions, unequal


def least(graph, cluster, constraints: Constraints, limits: Limits, objective: Objective) -> float | None:
    """The smallest value of any partition on any members that keeps limits and constraints."""
    evaluator = Evaluator(contract(graph), RateTable(profile(graph), cluster))
    index = {node.name: number for number, node in enumerate(graph.nodes)}
    names, found = [member.name for member in cluster.members], None
    for nodes in partitions(graph, limits.stages or len(names), cluster):
        if limits.stages not in (None, len(nodes)):
            continue
        home = {node: stage for stage, mine in enumerate(nodes) for node in mine}
        if any(len({home[index[name]] for name in group}) > 1 for group in constraints.together):
            continue
        for devices in permutations(names, len(nodes)):
            if any(devices[home[index[pin.name]]] != pin.device for pin in constraints.pins):
                continue
            stages, cuts = evaluator.price(nodes, devices)
            if not evaluator.overfull(stages, limits) and not is_overflowing(stages, cluster):
                value = evaluator.measured(stages, cuts, [objective])[0]
                found = value if found is None else min(found, value)
    return found


@pytest.mark.parametrize("objective", [Objective.STAGES, Objective.TRAFFIC])
def test_a_value_that_nobody_reads_any_more_takes_no_memory(objective: Objective) -> None:
    """Stages within one block, half of the memory: what a unit before them read last is not theirs."""
    graph = random_graph(160, 6)
    cluster = unequal((0.5, 0.5, 0.5), profile(graph).peak_bytes)
    made = plan(graph, profile(graph), Limits(), [objective], Terms(cluster=cluster))
    assert made.value == pytest.approx(least(graph, cluster, Constraints(), Limits(), objective), rel=TOLERANCE)


@settings(max_examples=75, deadline=None)
@given(graphs, objectives, st.data(), st.floats(0.3, 1.1), st.none() | st.integers(1, 3))
def test_pins_and_groups(graph, objective: Objective, data: st.DataObject, share: float, stages: int | None) -> None:
    cluster = unequal((share, share, share), profile(graph).peak_bytes)
    names = st.sampled_from([graph.nodes[node].name for node in contract(graph).placed])
    pins = data.draw(st.dictionaries(names, st.sampled_from([m.name for m in cluster.members]), max_size=2))
    groups = data.draw(st.lists(st.tuples(names, names), max_size=2))
    constraints = Constraints(pins=tuple(Pin(name=n, device=d) for n, d in pins.items()), together=tuple(groups))
    limits = Limits(stages=stages)
    best = least(graph, cluster, constraints, limits, objective)
    refused, made = "", None
    try:
        made = plan(graph, profile(graph), limits, [objective], Terms(cluster=cluster, constraints=constraints))
    except (InfeasibleError, InputError) as error:
        refused = str(error)
    if "cyclic colocation" in refused:
        return  # a plan could keep crossed groups only in one stage
    assert (best is None) == (made is None)
    if best is not None and made is not None:
        assert made.value == pytest.approx(best, rel=TOLERANCE)
        assert made.bound <= best * (1 + TOLERANCE)
