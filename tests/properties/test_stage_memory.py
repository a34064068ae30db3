"""What the exact search takes a stage to need of memory is never more than what it needs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import random_graph
from partwise.hardware import equal_devices, find_device, find_link
from partwise.ir import contract
from partwise.planning import Limits, Objective
from partwise.planning.build_instance import build, types_of
from partwise.planning.evaluator import Evaluator
from partwise.planning.ideals.lattice import Lattice, lattice
from partwise.planning.ideals.search import Search
from partwise.planning.problem import Problem, formulate
from partwise.planning.rates import RateTable
from partwise.profiling import profile

CLUSTER = equal_devices(find_device("a100"), find_link("ethernet-10g"), 3, memory_bytes=1 << 20)


def estimates(search: Search, found: Lattice) -> Iterator[tuple[int, int, float]]:
    """Two ideals, and what the stage between them is taken to need."""
    for block in range(len(found.blocks) + 1):
        starts = np.arange(found.starts[block], found.starts[block + 1])
        ends = np.arange(found.starts[block], len(found))
        needs = search.memory(block, starts, ends, search.loads.prices(block, starts, ends))
        for row, column in np.argwhere(search.loads.contains(block, starts, ends)).tolist():
            yield int(starts[row]), int(ends[column]), float(needs[row, column])


def placed(problem: Problem, found: Lattice, start: int, end: int) -> tuple[int, ...]:
    """The nodes between two ideals."""
    return tuple(sorted(node for unit in found.between(start, end) for node in problem.units[unit]))


@settings(max_examples=60)
@given(st.integers(0, 100_000), st.integers(2, 14))
def test_no_stage_needs_less_than_its_estimate(seed: int, nodes: int) -> None:
    graph = random_graph(seed, nodes)
    contraction, rates = contract(graph), RateTable(profile(graph), CLUSTER)
    problem, evaluator = formulate(contraction, rates), Evaluator(contraction, rates)
    instance = build(problem, types_of(CLUSTER, 3), Limits(), Objective.BALANCE)
    found = lattice(instance, 10_000)
    for start, end, need in estimates(Search(instance, found), found):
        ends = ((0, start), (start, end), (end, len(found) - 1))
        parts = [part for part in (placed(problem, found, *two) for two in ends) if part]
        stages, _ = evaluator.price(tuple(parts), [CLUSTER.members[0].name] * len(parts))
        stage = stages[parts.index(placed(problem, found, start, end))]
        assert need <= stage.peak_bytes - problem.overhead_bytes, stage.nodes
