"""Fusion against brute force on small random graphs, and its invariants on larger ones."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import Builder, random_graph
from partwise.ir import Graph
from partwise.profiling import Fusion, Rules, fuse, profile
from partwise.profiling.fusion_bundles import with_attention
from partwise.profiling.fusion_flow import Flow
from partwise.profiling.fusion_kernel import Kernel
from partwise.profiling.fusion_steps import Step, steps


def mixed_graph(seed: int, nodes: int, rows: int = 4, width: int = 8) -> Graph:
    """Products, norms, softmax, sums, reductions and views over one width, with forks and joins."""
    random, make = Random(seed), Builder()
    values = [make.input((rows, width))]
    while len(make.nodes) < nodes:
        x, y = random.choice(values[-4:]), random.choice(values[-6:])
        match random.choice("linear linear relu add add softmax norm mean turn narrow product".split()):
            case "linear":
                values.append(make.linear(x, width))
            case "relu":
                values.append(make.relu(x))
            case "add":
                values.append(make.add(x, y))
            case "softmax":
                values.append(make.node("aten.softmax.int", [x, -1], (rows, width)))
            case "norm":
                values.append(make.node("aten.layer_norm.default", [x, (width,)], (rows, width)))
            case "mean":
                mean = make.node("aten.mean.dim", [x, (-1,), True], (rows, 1))
                values.append(make.node("aten.mul.Tensor", [x, mean], (rows, width)))
            case "turn":
                turned = make.node("aten.transpose.int", [x, 0, 1], (width, rows))
                values.append(make.node("aten.view.default", [turned, (rows, width)], (rows, width)))
            case "narrow":
                part = make.node("aten.slice.Tensor", [x, 0, 0, 1], (1, width))
                values.append(make.add(part, y))
                make.shapes[values[-1]] = (rows, width)
            case _:
                values.append(make.node("aten.matmul.default", [make.linear(x, rows), y], (rows, width)))
    read = {name for node in make.nodes for name in node.inputs}
    ends = [value for value in values[1:] if value not in read]
    return make.graph(*dict.fromkeys([*ends, values[-1]]))


limits = st.sampled_from([None, 40, 200, 600, 5000])
small = st.builds(mixed_graph, st.integers(0, 100_000), st.integers(2, 6))
larger = st.one_of(
    st.builds(mixed_graph, st.integers(0, 100_000), st.integers(2, 30)),
    st.builds(random_graph, st.integers(0, 100_000), st.integers(2, 30)),
)


def partitions(places: list[int]) -> Iterator[list[list[int]]]:
    """Every partition of a set."""
    if not places:
        yield []
        return
    first, *rest = places
    for others in partitions(rest):
        yield [[first], *others]
        for number, group in enumerate(others):
            yield [*others[:number], [first, *group], *others[number + 1 :]]


def is_kernel(flow: Flow, found: dict[int, Step], group: list[int], limit: int | None) -> bool:
    kernel: Kernel | None = Kernel(flow, limit)
    for place in sorted(group):
        kernel = kernel.with_step(found[place]) if kernel else None
    return kernel is not None


def can_run(flow: Flow, groups: list[tuple[int, ...]]) -> bool:
    """Whether the groups can run one after another in some order."""
    home = {index: number for number, group in enumerate(groups) for index in group}
    waits = [
        {home[flow.maker[root]] for index in group for root, _ in flow.reads[index] if root in flow.maker} - {number}
        for number, group in enumerate(groups)
    ]
    done: set[int] = set()
    while ready := [number for number in range(len(groups)) if number not in done and waits[number] <= done]:
        done.update(ready)
    return len(done) == len(groups)


def least(graph: Graph, limit: int | None) -> int:
    """The least traffic of any partition into kernels that can run one after another."""
    flow = Flow(graph, profile(graph))
    found = with_attention(flow, steps(flow))
    best = None
    for groups in partitions(sorted(found)):
        nodes = [tuple(index for place in group for index in found[place].nodes) for group in groups]
        if all(is_kernel(flow, found, group, limit) for group in groups) and can_run(flow, nodes):
            traffic = sum(flow.unit(group).traffic_bytes for group in nodes)
            best = traffic if best is None else min(best, traffic)
    assert best is not None
    return best


@settings(max_examples=80, deadline=None)
@given(small, limits)
def test_no_fusion_is_below_the_bound_and_a_gap_of_zero_is_the_best(graph: Graph, limit: int | None) -> None:
    found, best = fuse(graph, profile(graph), fast_memory_bytes=limit), least(graph, limit)
    assert found.bound_bytes <= best <= found.traffic_bytes
    assert found.gap or found.traffic_bytes == best


def test_the_best_fusion_is_nearly_always_found() -> None:
    """Islands are solved one by one; where their units then wait for each other, the gap says what that costs."""
    random, proven = Random(1), 0
    for _ in range(100):
        graph, limit = mixed_graph(random.randrange(10**9), random.randrange(2, 15)), random.choice([None, 40, 600])
        proven += fuse(graph, profile(graph), fast_memory_bytes=limit).gap == 0
    assert proven >= 90


@settings(max_examples=40, deadline=None)
@given(larger, limits)
def test_every_rule_set_keeps_the_invariants(graph: Graph, limit: int | None) -> None:
    counted, flow = profile(graph), Flow(graph, profile(graph))
    found = {rules: fuse(graph, counted, rules=rules, fast_memory_bytes=limit) for rules in Rules}
    for rules, fusion in found.items():
        check_order(flow, fusion)
        covered = sorted(index for unit in fusion.units for index in unit.nodes)
        assert covered == list(range(len(graph.nodes)) if rules is Rules.SOURCE else flow.working)
        assert fusion.bound_bytes <= fusion.traffic_bytes <= fusion.unfused_bytes
    assert found[Rules.OPTIMAL].traffic_bytes <= found[Rules.PATTERNS].traffic_bytes
    assert found[Rules.OPTIMAL].traffic_bytes <= recounted(flow, found[Rules.SOURCE])
    assert fuse(graph, counted, fast_memory_bytes=limit) == found[Rules.OPTIMAL]


def recounted(flow: Flow, fusion: Fusion) -> int:
    """The traffic of another rule set's units as ours are counted."""
    working = set(flow.working)
    return sum(flow.unit(working.intersection(unit.nodes)).traffic_bytes for unit in fusion.units)


def check_order(flow: Flow, fusion: Fusion) -> None:
    """Units come in an order in which they can run, so none waits for itself."""
    done: set[int] = set()
    for unit in fusion.units:
        needed = {flow.maker[root] for index in unit.nodes for root, _ in flow.reads[index] if root in flow.maker}
        assert needed <= done | set(unit.nodes)
        done.update(unit.nodes)


@settings(max_examples=10, deadline=None)
@given(larger)
def test_more_fast_memory_never_costs_traffic(graph: Graph) -> None:
    counted = profile(graph)
    found = [fuse(graph, counted, fast_memory_bytes=limit) for limit in (40, 400, 4000, None)]
    if all(fusion.gap == 0 for fusion in found):
        traffic = [fusion.traffic_bytes for fusion in found]
        assert traffic == sorted(traffic, reverse=True)


@pytest.mark.parametrize("seed", range(10))
def test_larger_graphs_are_never_worse_than_greedy(seed: int) -> None:
    graph = mixed_graph(seed, 200)
    counted = profile(graph)
    greedy, best = (fuse(graph, counted, rules=rules) for rules in (Rules.PATTERNS, Rules.OPTIMAL))
    assert best.bound_bytes <= best.traffic_bytes <= greedy.traffic_bytes
