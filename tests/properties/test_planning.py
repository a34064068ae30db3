"""The planner against brute force on small random graphs: solvers, bounds, prices, memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import random_graph
from partwise.errors import InfeasibleError
from partwise.hardware import REFERENCE_CLUSTER
from partwise.ir import contract
from partwise.planning import Cut, Limits, Objective, Stage, plan, plan_from_data, plan_to_data, violations
from partwise.planning.bounds import fewest_bins, find_bound
from partwise.planning.evaluator import Evaluator
from partwise.planning.orders import flow_of, orders
from partwise.planning.price import Priced, measure, price
from partwise.planning.problem import Problem, formulate
from partwise.planning.rates import RateTable
from partwise.planning.slicing import Line, Room
from partwise.planning.slicing.costs import columns
from partwise.planning.slicing.dynamic_program import best_slices
from partwise.profiling import profile

graphs = st.builds(random_graph, st.integers(0, 10_000), st.integers(2, 8))
small_graphs = st.builds(random_graph, st.integers(0, 10_000), st.integers(2, 6))
UNPRICED = (Objective.COST, Objective.BALANCE_MEMORY)  # the reference device has no price, a peak no sum
PRICED = [o for o in Objective if o not in UNPRICED]
objectives = st.permutations(PRICED).flatmap(lambda o: st.integers(1, 3).map(lambda count: tuple(o[:count])))
TOLERANCE = 1e-9


class Case:
    """A graph with everything that the tests ask of it."""

    def __init__(self, graph) -> None:
        self.graph, self.profile = graph, profile(graph)
        self.contraction = contract(graph)
        self.rates = RateTable(self.profile, REFERENCE_CLUSTER)
        self.problem: Problem = formulate(self.contraction, self.rates)

    def price(self, assignment: Sequence[Sequence[int]]):
        names = [REFERENCE_CLUSTER.members[0].name] * len(assignment)
        return price(self.contraction, self.rates, assignment, names)

    def values(self, assignment: Sequence[Sequence[int]], wanted: Sequence[Objective]) -> tuple[float, ...]:
        stages, cuts = self.price(assignment)
        return tuple(measure(o, self.priced(stages, cuts)) for o in wanted)

    def priced(self, stages: Sequence[Stage], cuts: Sequence[Cut]) -> Priced:
        sizes = self.profile.sizes
        return Priced(stages=stages, cuts=cuts, graph=self.graph, sizes=sizes, cluster=REFERENCE_CLUSTER)

    def keeps(self, assignment: Sequence[Sequence[int]], limits: Limits) -> bool:
        stages = self.price(assignment)[0]
        return (limits.stages in (None, len(stages))) and (
            limits.memory_bytes is None or max(stage.peak_bytes for stage in stages) <= limits.memory_bytes
        )

    def slicings(self, line: Line) -> Iterator[list[list[int]]]:
        for count in range(line.length):
            for inner in combinations(range(1, line.length), count):
                yield [line.nodes(i, j) for i, j in pairwise((0, *inner, line.length))]

    def partitions(self) -> Iterator[list[list[int]]]:
        """Every assignment of units to stages in which values only go forward."""
        units, after = self.problem.units, flow_of(self.problem).after
        for stages in range(1, len(units) + 1):
            for homes in product(range(stages), repeat=len(units)):
                forward = all(homes[unit] <= homes[other] for unit in range(len(units)) for other in after[unit])
                if forward and len(set(homes)) == stages:
                    yield [
                        sorted(n for u, nodes in enumerate(units) if homes[u] == s for n in nodes)
                        for s in range(stages)
                    ]


@st.composite
def limited(draw: st.DrawFn) -> tuple[Case, Limits]:
    case = Case(draw(graphs))
    stages = draw(st.none() | st.integers(1, len(case.problem.units)))
    share = draw(st.none() | st.floats(0.3, 1))
    memory = None if share is None else int(case.profile.peak_bytes * share)
    return case, Limits(stages=stages, memory_bytes=memory)


@settings(max_examples=150, deadline=None)
@given(limited(), objectives, st.integers(0, 5))
def test_slicing_equals_brute_force_in_every_order(
    given_: tuple[Case, Limits], wanted: tuple[Objective, ...], which: int
) -> None:
    case, limits = given_
    found = list(orders(case.problem, 6, 0))
    line = Line(case.problem, found[which % len(found)][1])
    if limits.memory_bytes and which % len(found):
        limits = Limits(stages=limits.stages)  # exact under a memory limit in the capture order: see `room`
    if limits.stages:
        wanted = tuple(o for o in wanted if o is not Objective.STAGES) or (Objective.TRAFFIC,)
    chosen = best_slices(line, Room(line, limits), np.arange(line.length + 1), wanted, limits.stages)
    allowed = [case.values(parts, wanted) for parts in case.slicings(line) if case.keeps(parts, limits)]
    assert (chosen is None) == (not allowed)
    if chosen is not None:
        values = case.values([line.nodes(i, j) for i, j in pairwise(chosen)], wanted)
        assert values == pytest.approx(_least(allowed), rel=1e-8)


def _least(values: list[tuple[float, ...]]) -> tuple[float, ...]:
    """The lexicographic least, where levels that differ by rounding are equal."""
    for level in range(len(values[0])):
        least = min(value[level] for value in values)
        values = [value for value in values if value[level] <= least * (1 + TOLERANCE)]
    return values[0]


@settings(max_examples=60, deadline=None)
@given(
    st.builds(random_graph, st.integers(0, 10_000), st.integers(2, 6)),
    st.sampled_from(PRICED),
    st.booleans(),
    st.booleans(),
)
def test_no_acyclic_partition_is_below_the_bound(graph, objective: Objective, squeezed: bool, counted: bool) -> None:
    case = Case(graph)
    memory = int(case.profile.peak_bytes * 0.7) if squeezed else None
    for stages in range(1, len(case.problem.units) + 1) if counted else (None,):
        limits = Limits(stages=stages, memory_bytes=memory)
        bound = find_bound(case.problem, limits, objective, stages)
        reached = [case.values(parts, (objective,))[0] for parts in case.partitions() if case.keeps(parts, limits)]
        assert bound.value <= min(reached, default=np.inf) * (1 + 1e-12)


@settings(max_examples=60, deadline=None)
@given(limited(), st.lists(st.sampled_from([*PRICED, Objective.BALANCE_MEMORY]), max_size=3))
def test_plans_keep_everything_and_survive_json(given_: tuple[Case, Limits], wanted: list[Objective]) -> None:
    case, limits = given_
    try:
        made = plan(case.graph, case.profile, limits, wanted)
    except InfeasibleError:
        return
    assert not list(violations(made, Evaluator(case.contraction, case.rates)))
    assert made.bound <= made.value
    assert plan_from_data(plan_to_data(made, with_graph=True)) == made
    assert plan(case.graph, case.profile, limits, wanted) == made


@settings(max_examples=60, deadline=None)
@given(graphs, st.integers(0, 5))
def test_intervals_cost_what_the_evaluator_says(graph, which: int) -> None:
    case = Case(graph)
    found = list(orders(case.problem, 6, 0))
    line = Line(case.problem, found[which % len(found)][1])
    room, end = Room(line, Limits()), line.length
    every = np.zeros(end + 1, np.int64)
    costs = {o: list(columns(line, o, np.arange(end + 1), every)) for o in PRICED}
    for i, j in combinations(range(end + 1), 2):
        pieces = [(a, b) for a, b in ((0, i), (i, j), (j, end)) if a < b]
        here = pieces.index((i, j))
        stages, cuts = case.price([line.nodes(a, b) for a, b in pieces])
        need, stage = room.need(i, j), stages[here]
        assert (need.weight_bytes, need.memory_bytes, need.parameters) == (
            stage.weight_bytes,
            stage.peak_bytes,
            stage.parameters,
        )
        mine = [cut for cut in cuts if here in (cut.source, cut.target)]
        alone = [stage if k == here else replace(s, time_s=0.0) for k, s in enumerate(stages)]
        period = measure(Objective.THROUGHPUT, case.priced(alone, mine))
        assert costs[Objective.TRAFFIC][j - 1][i] == sum(cut.bytes for cut in cuts if cut.target == here)
        assert costs[Objective.BALANCE][j - 1][i] == pytest.approx(stage.time_s)
        assert costs[Objective.THROUGHPUT][j - 1][i] == pytest.approx(period)


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_memory_at_placed_nodes_grows_with_the_interval(graph) -> None:
    case = Case(graph)
    line = Line(case.problem, next(orders(case.problem, 1, 0))[1])
    for limit in range(0, case.profile.peak_bytes, 1 + case.profile.peak_bytes // 9):
        room = Room(line, Limits(memory_bytes=limit))
        for i, j in combinations(range(line.length + 1), 2):
            assert room.may_fit(i, j) or not room.fits(i, j)
            if room.may_fit(i, j):
                assert all(room.may_fit(a, b) for a, b in ((i + 1, j), (i, j - 1)) if a < b)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(12, 20))
def test_bins_are_never_overestimated(items: list[int], room: int) -> None:
    fewest = min(
        len(set(homes))
        for homes in product(range(len(items)), repeat=len(items))
        if all(sum(s for s, h in zip(items, homes, strict=True) if h == bin_) <= room for bin_ in homes)
    )
    assert 1 <= fewest_bins(np.sort(np.array(items)), room) <= fewest


@settings(max_examples=40, deadline=None)
@given(graphs, st.integers(1, 3), st.floats(0.05, 0.9))
def test_the_smallest_limit_that_an_error_names_works(graph, stages: int, share: float) -> None:
    case = Case(graph)
    limits = Limits(stages=min(stages, len(case.problem.units)), memory_bytes=int(case.profile.peak_bytes * share) or 1)
    try:
        plan(graph, case.profile, limits)
    except InfeasibleError as error:
        smallest = int(error.hint.split()[1].rstrip("."))
        assert smallest > (limits.memory_bytes or 0)
        made = plan(graph, case.profile, Limits(stages=limits.stages, memory_bytes=smallest))
        assert max(stage.peak_bytes for stage in made.stages) <= smallest
