"""Every broken invariant is one line, and all of them are found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphs import chain
from partwise.errors import GraphError
from partwise.ir import Mutation, Output, Ref, Sym, Symbol, check_graph
from partwise.ir.check import violations


def test_a_good_graph_has_none() -> None:
    assert list(violations(chain([4, 5, 6]))) == []


def test_all_violations_are_found_and_the_first_is_told() -> None:
    graph = chain([4, 5])
    broken = replace(
        graph,
        outputs=(Output(name="out", tensor="nobody"),),
        mutations=(Mutation(target="weight_0", tensor="no one"),),
        conditions=("sequence > 8",),
    )
    found = list(violations(broken))
    assert len(found) == 3
    with pytest.raises(GraphError, match=r"and 2 more"):
        check_graph(broken)


def test_a_negative_hint_is_found() -> None:
    broken = replace(chain([4, 5]), symbols=(Symbol(name="batch", hint=-1, input="input_0", dim=0),))
    assert list(violations(broken)) == ["symbol `batch` has the negative hint -1"]


def test_an_unknown_symbol_is_found_in_shapes_and_arguments() -> None:
    graph = chain([4, 5])
    node = replace(graph.nodes[0], args=(Ref("input_0"), (Sym("sequence*2"),)))
    broken = replace(graph, nodes=(node, *graph.nodes[1:]))
    assert any("unknown symbol `sequence`" in line for line in violations(broken))
    known = replace(broken, symbols=(Symbol(name="sequence", hint=3, input="input_0", dim=0),))
    assert list(violations(known)) == []
