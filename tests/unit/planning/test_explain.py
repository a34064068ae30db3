"""Explanations: shares that add up, moves that the evaluator agrees with, hardware that helps as a new plan says."""

from __future__ import annotations

from dataclasses import replace
from math import fsum

import pytest

from graphs import transformer
from partwise.hardware import equal_devices, find_device, find_link
from partwise.ir import contract
from partwise.planning import (
    Constraints,
    Explanation,
    Limits,
    Objective,
    Pin,
    Plan,
    Terms,
    explain_plan,
    parse_objectives,
    plan,
)
from partwise.planning.evaluator import Evaluator
from partwise.planning.rates import RateTable
from partwise.profiling import profile

GRAPH = transformer(2, 64, 16, vocabulary=100)
LINK = find_link("pcie4-x16")
CLUSTER = equal_devices(replace(find_device("a100"), name="gpu"), LINK, 3)
TERMS = Terms(cluster=CLUSTER)


def made_with(limits: Limits, *wanted: Objective, terms: Terms = TERMS) -> Plan:
    return plan(GRAPH, profile(GRAPH), limits, wanted, terms)


def explained(made: Plan) -> Explanation:
    return explain_plan(made, profile(GRAPH))


def test_loads_split_into_compute_and_transfers() -> None:
    made = made_with(Limits(stages=3), Objective.THROUGHPUT)
    loads = [fsum([s.compute_s, s.receive_s, s.send_s]) for s in explained(made).stages]
    assert max(loads) == pytest.approx(made.value)
    assert [s.load_share for s in explained(made).stages] == pytest.approx([load / made.value for load in loads])
    assert sum(s.load_share == 1 for s in explained(made).stages) >= 1


def test_each_cut_knows_its_neighbours() -> None:
    made = made_with(Limits(stages=3), Objective.THROUGHPUT)
    contraction = contract(GRAPH)
    evaluator = Evaluator(contraction, RateTable(profile(GRAPH), made.cluster))
    boundaries = explained(made).boundaries
    assert [b.before for b in boundaries] == [0, 1]
    for boundary in boundaries:
        assert boundary.bytes == sum(GRAPH.spec[name].bytes({}) for name in boundary.tensors)
        for move, source in ((boundary.earlier, boundary.before), (boundary.later, boundary.before + 1)):
            assert move is not None
            assert move.change >= -1e-9  # proved optimal: no neighbour is better
            node = next(i for i in made.stages[source].nodes if GRAPH.nodes[i].name == move.node)
            target = boundary.before if source > boundary.before else source + 1
            nodes = [{*s.nodes} - {node} | ({node} if s.index == target else set()) for s in made.stages]
            assignment = tuple(tuple(sorted(mine)) for mine in nodes)
            devices = [stage.device for stage in made.stages]
            assert evaluator.values(assignment, devices, [Objective.THROUGHPUT])[0] == move.value


def test_a_tight_memory_is_what_binds() -> None:
    free = made_with(Limits(stages=3), Objective.BALANCE_MEMORY)
    tight = made_with(Limits(stages=3, memory_bytes=int(free.value)), Objective.THROUGHPUT)
    stages = explained(tight).stages
    fullest = max(stages, key=lambda stage: stage.memory_share or 0)
    assert fullest.memory_share == 1
    moves = [move for b in explained(tight).boundaries for move in (b.earlier, b.later) if move is not None]
    assert any("bytes" in move.forbidden for move in moves)
    assert all(move.value is None for move in moves if move.forbidden)


def test_pinned_units_hold_a_cut() -> None:
    free = made_with(Limits(stages=2), Objective.THROUGHPUT)
    boundary = explained(free).boundaries[0]
    assert boundary.earlier is not None
    moves = [move.node for move in (boundary.earlier, boundary.later) if move is not None]
    home = {GRAPH.nodes[node].name: stage.device for stage in free.stages for node in stage.nodes}
    pins = tuple(Pin(name=name, device=home[name]) for name in moves)
    held = made_with(Limits(stages=2), Objective.THROUGHPUT, terms=replace(TERMS, constraints=Constraints(pins=pins)))
    assert held.value == pytest.approx(free.value)
    again = explained(held).boundaries[0]
    found = [move for move in (again.earlier, again.later) if move is not None]
    assert all(move.forbidden.startswith("pinned to gpu-") for move in found if move.node in moves)
    assert any(move.node in moves for move in found)


def test_more_hardware_is_worth_what_a_new_plan_says() -> None:
    least = int(made_with(Limits(), Objective.BALANCE_MEMORY).value)
    made = made_with(Limits(memory_bytes=least), Objective.THROUGHPUT)
    found = {row.change: row for row in explained(made).what_if}
    assert list(found) == ["one more gpu", "25 % more memory", "links twice as fast"]
    fast = replace(CLUSTER, within=replace(LINK, bytes_per_s=2 * LINK.bytes_per_s))
    again = made_with(Limits(memory_bytes=least), Objective.THROUGHPUT, terms=Terms(cluster=fast))
    assert found["links twice as fast"].value == again.value
    wide = made_with(Limits(memory_bytes=int(least * 1.25)), Objective.THROUGHPUT)
    assert found["25 % more memory"].value == wide.value
    assert all(row.gain is None or row.gain >= -1e-9 for row in found.values())


def test_weighted_plans_are_explained_by_their_sum() -> None:
    blend = parse_objectives("1*throughput+1*traffic")
    made = plan(GRAPH, profile(GRAPH), Limits(stages=3), blend, TERMS)
    found = explained(made)
    assert all(m.objective is None for b in found.boundaries for m in (b.earlier, b.later) if m is not None)
    links = next(row for row in found.what_if if row.change.startswith("links"))
    assert links.value is not None
    assert links.value <= made.value * (1 + 1e-9)


def test_a_whole_has_no_cut_to_explain() -> None:
    made = made_with(Limits(stages=1), Objective.LATENCY)
    assert explained(made).boundaries == ()
    assert explained(made).stages[0].load_share == 1
