"""K/V and the engine's own memory in stages: one count for values, limits, bounds, checks and explanations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import pytest

from graphs import chain, decoder
from partwise.errors import GraphError, InfeasibleError, InputError
from partwise.hardware import REFERENCE_CLUSTER, REFERENCE_DEVICE, REFERENCE_LINK, Cluster, equal_devices
from partwise.ir import Graph, contract
from partwise.planning import Limits, Objective, Plan, Reserve, Terms, plan, plan_from_data, plan_to_data, violations
from partwise.planning.evaluator import Evaluator
from partwise.planning.orders import orders
from partwise.planning.price import Priced, measure, price
from partwise.planning.problem import Problem, formulate
from partwise.planning.rates import RateTable
from partwise.planning.reserve import kept_in
from partwise.planning.slicing import Line, Room
from partwise.profiling import profile

CACHED, PLAIN = decoder(3, capacity=64), decoder(3, capacity=None)
TOKEN = 2 * 2 * 8 * 4  # K and V, shared heads, width, bytes of float32


def planned(
    graph: Graph,
    limits: Limits,
    *objectives: Objective,
    reserve: Reserve | None = None,
    cluster: Cluster = REFERENCE_CLUSTER,
) -> Plan:
    return plan(graph, profile(graph), limits, objectives, Terms(cluster=cluster, reserve=reserve or Reserve()))


def problem_of(graph: Graph, reserve: Reserve) -> Problem:
    return formulate(
        contract(graph), RateTable(profile(graph), equal_devices(REFERENCE_DEVICE, REFERENCE_LINK), reserve)
    )


def test_a_stage_keeps_the_buffers_of_its_layers() -> None:
    found = planned(CACHED, Limits(stages=3), Objective.BALANCE)
    assert sum(stage.kept_bytes for stage in found.stages) == 3 * 2 * 64 * TOKEN
    larger = planned(CACHED, Limits(stages=3), Objective.BALANCE, reserve=Reserve(cache=100, sequences=5))
    assert sum(stage.kept_bytes for stage in larger.stages) == 3 * 5 * 100 * TOKEN
    more = sum(stage.peak_bytes for stage in larger.stages) - sum(stage.peak_bytes for stage in found.stages)
    assert more == 3 * (500 - 128) * TOKEN


@pytest.mark.parametrize("sequences", [None, 7])
def test_without_buffers_attention_shows_what_would_be_kept(sequences: int | None) -> None:
    """Heads that are repeated before they are attended to are kept once."""
    found = planned(PLAIN, Limits(stages=2), Objective.BALANCE, reserve=Reserve(cache=50, sequences=sequences))
    assert sum(stage.kept_bytes for stage in found.stages) == 3 * (sequences or 2) * 50 * TOKEN


def test_no_plan_parts_a_buffer_from_its_attention() -> None:
    contraction = contract(CACHED)
    attentions = [i for i in contraction.placed if "attention" in CACHED.nodes[i].op]
    problem = problem_of(CACHED, Reserve())
    for unit in problem.units:
        writes = [i for i in unit if i in CACHED.writes]
        assert len(writes) in (0, 2)
        assert sum(i in attentions for i in unit) == len(writes) // 2
    made = planned(CACHED, Limits(stages=2), Objective.BALANCE)
    whole = sorted(node for stage in made.stages for node in stage.nodes)
    place = whole.index(min(CACHED.writes)) + 1
    stages = [
        replace(stage, nodes=tuple(part))
        for stage, part in zip(made.stages, (whole[:place], whole[place:]), strict=True)
    ]
    broken = replace(made, stages=tuple(stages))
    found = list(violations(broken, Evaluator(contraction, RateTable(profile(CACHED), made.cluster))))
    assert any("share a state" in line for line in found)


@pytest.mark.parametrize(
    ("graph", "reserve"),
    [
        (CACHED, Reserve()),
        (CACHED, Reserve(cache=200, overhead_bytes=777)),
        (PLAIN, Reserve(cache=30, overhead_bytes=1)),
    ],
)
def test_a_line_counts_as_the_evaluator_prices(graph: Graph, reserve: Reserve) -> None:
    problem = problem_of(graph, reserve)
    _, order = next(iter(orders(problem, 1, 0)))
    line = Line(problem, order)
    room, size = Room(line, Limits()), line.length
    for i, j in combinations(range(size + 1), 2):
        parts = [line.nodes(a, b) for a, b in ((0, i), (i, j), (j, size)) if a < b]
        stages, _ = price(problem.contraction, problem.rates, parts, [problem.cluster.members[0].name] * len(parts))
        need, stage = room.need(i, j), stages[1 if i else 0]
        assert (need.memory_bytes, need.kept_bytes) == (stage.peak_bytes, stage.kept_bytes)


def test_an_impossible_limit_names_the_least_that_works() -> None:
    reserve = Reserve(cache=512, overhead_bytes=1000)
    with pytest.raises(InfeasibleError, match="K/V and the engine") as caught:
        planned(CACHED, Limits(stages=3, memory_bytes=5000), reserve=reserve)
    least = int(str(caught.value).split("(")[-2].split(" bytes")[0])
    made = planned(CACHED, Limits(stages=3, memory_bytes=least), reserve=reserve)
    assert max(stage.peak_bytes for stage in made.stages) == least
    with pytest.raises(InfeasibleError):
        planned(CACHED, Limits(stages=3, memory_bytes=least - 1), reserve=reserve)


def test_the_number_of_stages_grows_with_what_is_kept() -> None:
    alone = max(stage.peak_bytes for stage in planned(CACHED, Limits(stages=1)).stages)
    counts: list[int] = []
    for tokens in (64, 120, 300):
        made = planned(CACHED, Limits(memory_bytes=alone), Objective.STAGES, reserve=Reserve(cache=tokens))
        assert made.bound <= made.value
        counts.append(len(made.stages))
    assert counts == sorted(counts)
    assert counts[0] == 1 < counts[-1]


def test_on_given_devices_it_counts_too() -> None:
    reserve = Reserve(cache=300, sequences=3, overhead_bytes=5000)
    need = max(stage.peak_bytes for stage in planned(CACHED, Limits(stages=3), reserve=reserve).stages)
    cluster = equal_devices(REFERENCE_DEVICE, REFERENCE_LINK, 3, memory_bytes=need)
    made = planned(CACHED, Limits(), Objective.THROUGHPUT, reserve=reserve, cluster=cluster)
    assert max(stage.peak_bytes for stage in made.stages) <= need
    assert len(made.stages) == 3
    tight = equal_devices(REFERENCE_DEVICE, REFERENCE_LINK, 3, memory_bytes=need // 2)
    with pytest.raises(InfeasibleError):
        planned(CACHED, Limits(), Objective.THROUGHPUT, reserve=reserve, cluster=tight)


def test_the_least_peak_counts_it() -> None:
    reserve = Reserve(cache=300, overhead_bytes=5000)
    made = planned(CACHED, Limits(stages=2), Objective.BALANCE_MEMORY, reserve=reserve)
    assert made.value == max(stage.peak_bytes for stage in made.stages)
    assert made.bound <= made.value
    with pytest.raises(InfeasibleError):
        planned(CACHED, Limits(stages=2, memory_bytes=int(made.bound) - 1), reserve=reserve)


def test_a_plan_tells_its_reserve_and_is_priced_by_it() -> None:
    made = planned(CACHED, Limits(stages=2), reserve=Reserve(cache=99, overhead_bytes=11))
    data = plan_to_data(made, with_graph=True)
    assert plan_from_data(data) == made
    data["reserve"]["cache"] = 100
    with pytest.raises(Exception, match="kept_bytes"):
        plan_from_data(data)


def test_a_plan_of_before_keeps_nothing() -> None:
    made = planned(PLAIN, Limits(stages=2))
    data = plan_to_data(made, with_graph=True)
    del data["reserve"]
    assert plan_from_data(data) == made


def test_refused_where_a_graph_does_not_show_it() -> None:
    with pytest.raises(InputError, match="no attention node"):
        planned(chain([8, 8, 8]), Limits(stages=1), reserve=Reserve(cache=8))
    encoder = replace(PLAIN, settings=(("task", "BertModel"),))
    with pytest.raises(InputError, match="`BertModel` does not"):
        planned(encoder, Limits(stages=1), reserve=Reserve(cache=8))
    with pytest.raises(InputError, match="how many tokens"):
        planned(PLAIN, Limits(stages=1), reserve=Reserve(sequences=8))
    with pytest.raises(InputError, match="at least 1"):
        planned(PLAIN, Limits(stages=1), reserve=Reserve(cache=0))


def test_a_state_that_is_no_buffer_is_a_broken_graph() -> None:
    name = next(iter(CACHED.writes.values()))
    flat = tuple(replace(spec, shape=(64,)) if spec.name == name else spec for spec in CACHED.tensors)
    with pytest.raises(GraphError, match="no buffer of keys or values"):
        kept_in(replace(CACHED, tensors=flat), {}, Reserve())


@pytest.mark.parametrize("share", [1.0, 0.8, 0.6, 0.3])
def test_the_best_of_all_divisions_under_a_limit(share: float) -> None:
    """Two stages, every division tried: the plan is the best that keeps the limit, or there is none."""
    reserve, graph = Reserve(cache=40, sequences=3, overhead_bytes=500), decoder(2, capacity=64)
    problem = problem_of(graph, reserve)
    whole = max(stage.peak_bytes for stage in planned(graph, Limits(stages=1), reserve=reserve).stages)
    limit = int(whole * share)
    values = [value for peak, value in _divisions(problem) if peak <= limit]
    assert bool(values) is (share > 0.5)
    if not values:
        with pytest.raises(InfeasibleError):
            planned(graph, Limits(stages=2, memory_bytes=limit), Objective.THROUGHPUT, reserve=reserve)
        return
    made = planned(graph, Limits(stages=2, memory_bytes=limit), Objective.THROUGHPUT, reserve=reserve)
    assert made.value == pytest.approx(min(values), rel=1e-9)
    assert made.bound <= made.value


def _divisions(problem: Problem) -> Iterator[tuple[int, float]]:
    """The peak and the value of every division into two stages."""
    _, order = next(iter(orders(problem, 1, 0)))
    name = problem.cluster.members[0].name
    maker, reads = problem.maker[problem.reads.item], problem.reads
    before = [
        {int(m) for m, u in zip(maker, reads.unit, strict=True) if u == unit and 0 <= m != unit} for unit in order
    ]
    ideals = {frozenset[int]()}
    for unit, needed in zip(order.tolist(), before, strict=True):
        ideals |= {ideal | {unit} for ideal in ideals if needed <= ideal}
    for ideal in ideals - {frozenset(), frozenset(order.tolist())}:
        sides = [sorted(n for u in side for n in problem.units[u]) for side in (ideal, set(order.tolist()) - ideal)]
        stages, cuts = price(problem.contraction, problem.rates, sides, [name] * 2)
        sizes, graph = problem.rates.profile.sizes, problem.contraction.graph
        priced = Priced(stages=stages, cuts=cuts, graph=graph, sizes=sizes, cluster=problem.cluster)
        value = measure(Objective.THROUGHPUT, priced)
        yield max(stage.peak_bytes for stage in stages), value
