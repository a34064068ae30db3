"""Hypothesis: any graph of the IR survives its JSON, keeps its digest, and divides into parts that fit together."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import random_graph
from partwise.digest import canonical_json
from partwise.ir import (
    Constant,
    DType,
    Enum,
    Format,
    Graph,
    Node,
    Output,
    Ref,
    Sym,
    Symbol,
    TensorSpec,
    Weight,
    contract,
    divide,
    graph_digest,
    graph_from_data,
    graph_to_data,
    prune,
)
from partwise.ir.arguments import Argument, decode, encode
from partwise.ir.check import violations

literals = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(
        [Sym("batch"), Sym("batch*2 + 1"), Enum("dtype", "float32"), Enum("memory_format", "channels_last")]
    ),
)


settings_ = st.dictionaries(
    st.text(max_size=4), st.one_of(st.none(), st.integers(0, 9), st.text(max_size=4)), max_size=2
)


def arguments(names: list[str]) -> st.SearchStrategy[Argument]:
    """Literals and references to these tensors, nested as deep as the format allows lists."""
    leaves = st.one_of(literals, st.sampled_from(names).map(Ref)) if names else literals
    return st.one_of(
        leaves, st.lists(st.one_of(leaves, st.lists(leaves, max_size=2).map(tuple)), max_size=3).map(tuple)
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any operators over any values; only the invariants hold."""
    sizes = st.one_of(st.integers(0, 9), st.sampled_from(["batch", "batch*4", "(batch + 3)//2"]))
    shapes = st.one_of(st.none(), st.lists(sizes, max_size=4).map(tuple))
    names = [f"input.{i}" for i in range(draw(st.integers(1, 3)))]
    weights = [f"weight.{i}" for i in range(draw(st.integers(0, 3)))]
    known, nodes = [*names, *weights, "constant"], list[Node]()
    for index in range(draw(st.integers(1, 8))):
        outputs = tuple(f"n{index}.{i}" for i in range(draw(st.integers(1, 3))))
        given_ = draw(st.lists(arguments(known), max_size=4).map(tuple))
        keywords = draw(st.dictionaries(st.sampled_from(["alpha", "dim", "dtype"]), arguments(known), max_size=2))
        op = draw(st.sampled_from(["aten.add.Tensor", "aten.cat.default", "onnx.Conv"]))
        nodes.append(Node(op=op, args=given_, kwargs=tuple(sorted(keywords.items())), outputs=outputs, module="a.b"))
        known += outputs
    specs = [TensorSpec(name=n, dtype=draw(st.sampled_from(list(DType))), shape=draw(shapes)) for n in known]
    ends = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
    return Graph(
        format=draw(st.sampled_from(list(Format))),
        name=draw(st.text(max_size=8)),
        settings=tuple(sorted(draw(settings_).items())),
        symbols=(Symbol(name="batch", hint=2, input=names[0], dim=0),),
        inputs=tuple(names),
        weights=tuple(Weight(tensor=n, key=n, trainable=draw(st.booleans())) for n in weights),
        constants=(Constant(tensor="constant", data="AAAA"),),
        outputs=tuple(Output(name=f"out{i}", tensor=n) for i, n in enumerate(ends)),
        conditions=draw(st.sampled_from([(), ("batch > 1",), ("batch % 2 == 0", "batch*2 <= 64")])),
        tensors=tuple(specs),
        nodes=tuple(nodes),
        notes=draw(st.sampled_from([(), ("a note",)])),
    )  # fmt: skip


@given(graphs())
def test_a_graph_survives_its_json(graph: Graph) -> None:
    assert list(violations(graph)) == []
    text = canonical_json(graph_to_data(graph))
    back = graph_from_data(json.loads(text))
    assert back == graph
    assert canonical_json(graph_to_data(back)) == text
    assert graph_digest(back) == graph_digest(graph)


@given(arguments(["a", "b.c"]))
def test_an_argument_survives_its_json(argument: Argument) -> None:
    assert decode(json.loads(canonical_json(encode(argument)))) == argument


@given(graphs())
def test_pruning_keeps_the_invariants_and_is_done_once(graph: Graph) -> None:
    pruned = prune(graph)
    assert list(violations(pruned)) == []
    assert prune(pruned) == pruned
    assert (pruned.inputs, pruned.outputs) == (graph.inputs, graph.outputs)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 60), st.integers(1, 6), st.randoms(use_true_random=False))
def test_parts_fit_together_in_every_slicing(seed: int, nodes: int, stages: int, chance: object) -> None:
    graph = random_graph(seed, nodes)
    contraction = contract(graph)
    placed = contraction.placed
    ends = sorted(chance.sample(range(1, len(placed)), min(stages, len(placed)) - 1)) if len(placed) > 1 else []  # type: ignore[attr-defined]
    parts = divide(contraction, [placed[a:b] for a, b in zip([0, *ends], [*ends, len(placed)], strict=True)])
    values = set(graph.inputs)
    for part in parts:
        known = {*part.inputs, *part.weights}
        assert set(part.inputs) <= values
        for index in part.nodes:
            assert set(graph.nodes[index].inputs) <= known
            known.update(graph.nodes[index].outputs)
        assert set(part.outputs) <= known
        values.update(part.outputs)
    assert {output.tensor for output in graph.outputs} <= values
    for name in {name for part in parts for name in part.sent}:
        assert sum(name in part.inputs for part in parts) >= 1
