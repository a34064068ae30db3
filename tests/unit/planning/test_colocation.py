"""What must stay together stays together."""

from __future__ import annotations

from graphs import Builder, chain
from partwise.ir import Graph, Mutation, contract
from partwise.planning import Limits, plan
from partwise.planning.colocation import units
from partwise.profiling import profile


def _units(graph: Graph) -> tuple[tuple[int, ...], ...]:
    contraction = contract(graph)
    return units(contraction)


def test_nodes_are_free_unless_something_binds_them() -> None:
    assert _units(chain((4, 4, 4))) == ((0,), (1,), (2,), (3,))


def test_state_keeps_its_readers_its_writer_and_what_lies_between() -> None:
    make = Builder()
    state, x = make.input((2, 4)), make.input((2, 4))
    old = make.add(state, x)
    between = make.relu(make.relu(old))
    new = make.add(between, x)
    after = make.relu(new)
    make.mutations.append(Mutation(target=state, tensor=new))
    graph = make.graph(after)
    assert _units(graph) == ((0, 1, 2, 3), (4,))
    assert [stage.nodes for stage in plan(graph, profile(graph), Limits(stages=2)).stages] == [(0, 1, 2, 3), (4,)]


def test_two_states_that_wait_for_each_other_are_one_unit() -> None:
    make = Builder()
    one, other = make.input((2, 4)), make.input((2, 4))
    a, b = make.relu(one), make.relu(other)
    make.mutations += [Mutation(target=one, tensor=make.relu(b)), Mutation(target=other, tensor=make.relu(a))]
    assert _units(make.graph(a)) == ((0, 1, 2, 3),)
