"""Every order is topological, the capture order is first, and equal seeds give equal orders."""

from __future__ import annotations

from graphs import chain, random_graph, transformer
from partwise.hardware import REFERENCE_CLUSTER
from partwise.ir import Graph, contract
from partwise.planning.orders import flow_of, orders
from partwise.planning.problem import Problem, formulate
from partwise.planning.rates import RateTable
from partwise.profiling import profile


def _problem(graph: Graph) -> Problem:
    return formulate(contract(graph), RateTable(profile(graph), REFERENCE_CLUSTER))


def test_orders_are_topological_and_different() -> None:
    problem = _problem(random_graph(3, 40))
    edges, found = flow_of(problem), list(orders(problem, 14, 0))
    assert found[0][0] == "capture"
    assert found[0][1].tolist() == list(range(len(problem.units)))
    assert len({order.tobytes() for _, order in found}) == len(found) >= 10
    for _, order in found:
        place = {unit: position for position, unit in enumerate(order.tolist())}
        assert len(place) == len(problem.units)
        assert all(place[unit] < place[other] for unit in place for other in edges.after[unit])


def test_a_chain_has_one_order() -> None:
    assert [name for name, _ in orders(_problem(chain((4, 4, 4, 4))), 14, 0)] == ["capture"]


def test_the_seed_decides_the_random_ones() -> None:
    problem = _problem(transformer(2, 8, 4))
    first, second, other = (
        [order.tolist() for name, order in orders(problem, 12, seed) if "random" in name] for seed in (0, 0, 1)
    )
    assert first == second != other
