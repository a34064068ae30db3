"""The lies of `test_kernels` to a compiler, whose code looks at nothing itself, and lies after an honest request.

Without the guards most of these calls end the process, or answer with bytes of other memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from partwise.errors import EngineError, PartwiseError
from partwise.ir import DType, Format, Graph, Mutation, Node, Output, Ref, TensorSpec, Weight
from partwise.packaging import Segment
from partwise.runtime.engines import LoadedSegment, make_engine
from tests.attacks.test_kernels import BAGS, LIES, i, o

BAGGED = "embedding_bag.padding_idx"


def segment(
    calls: dict[str, tuple[str, list[Any], dict[str, Any], int]],
    weights: dict[str, np.ndarray] | None = None,
    mutations: tuple[Mutation, ...] = (),
) -> tuple[Segment, dict[str, np.ndarray]]:
    """Calls beside each other as one segment, arrays as its inputs (`gather.0`), text as names; and those inputs."""
    inputs, held = dict[str, np.ndarray](), weights or {}
    nodes, results = list[Node](), list[str]()
    for name, (op, arguments, keywords, outputs) in calls.items():

        def said(value: Any, name: str = name) -> Any:
            if isinstance(value, np.ndarray):
                inputs[given := f"{name}.{len(inputs)}"] = value
                return Ref(given)
            return tuple(map(said, value)) if isinstance(value, list) else value

        args = tuple(map(said, arguments))
        kwargs = tuple((key, said(value)) for key, value in sorted(keywords.items()))
        made = tuple(f"{name}.out{number}" for number in range(outputs))
        nodes.append(Node(op=op, args=args, kwargs=kwargs, outputs=made))
        results.append(made[0])
    given = {**inputs, **held}
    specs = [TensorSpec(name=name, dtype=DType(value.dtype.name), shape=value.shape) for name, value in given.items()]
    specs += [TensorSpec(name=name, dtype=DType.FLOAT32, shape=None) for node in nodes for name in node.outputs]
    graph = Graph(
        format=Format.TORCH, name="g", settings=(), symbols=(), inputs=tuple(inputs),
        weights=tuple(Weight(tensor=name, key=name, trainable=False) for name in held),
        outputs=tuple(Output(name=name, tensor=name) for name in results), tensors=tuple(specs),
        nodes=tuple(nodes), mutations=mutations,
    )  # fmt: skip
    return Segment(name="segment 0", format=Format.TORCH, graph=b"", weights=held, ir=graph), inputs


FAR = 1 << 40
OUTSIDE = {
    "as_strided.default": [[o(4), [1000], [1]], [o(4), [4], [FAR]], [o(4), [1], [1], 4]],
    "as_strided_scatter.default": [[o(4), o(1000), [1000], [1]], [o(4), o(1), [1], [1], FAR]],
}


@pytest.mark.parametrize(
    ("op", "arguments", "keywords", "outputs"),
    [
        *(pytest.param(*lie, id=name) for name, lie in LIES.items()),
        *((f"aten.{op}", arguments, {}, 1) for op, lies in OUTSIDE.items() for arguments in lies),
    ],
)
def test_lying_arguments_are_refused_before_anything_is_compiled(
    op: str, arguments: list[Any], keywords: dict[str, Any], outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("it was compiled"))
    loaded, inputs = segment({"y": (op, arguments, keywords, outputs)})
    with pytest.raises(EngineError, match="do not fit each other"):
        make_engine("compile", 1).load(loaded).run(inputs, {})


X, PLACES, SOURCE = o(4, 3), i(1, 2), o(2, 3)
DEEP = np.array([[0, 1, 2], [3, 2, 1]])
INTEGERS = np.array([7, -7], np.int64)
LOWEST = np.array([-(2**63), 5], np.int64)

Lie = tuple[str, list[Any], dict[str, Any], int, int, list[np.ndarray]]
BY_VALUES: dict[str, Lie] = {  # operator, arguments, keywords, results, which input lies, the lies
    "embedding": ("embedding.default", [X, PLACES], {}, 1, 1, [i(1, FAR), i(-1, 0), i(4, 0)]),
    "embedding_bag": (BAGGED, [X, i(1, 2, 3), i(0, 0, 2), *BAGS], {}, 4, 2, [i(0, 2, 1), i(0, 9, 9), i(-5, 0, 2)]),
    "embedding_bag, indices": (BAGGED, [X, i(1, 2, 3), i(0, 0, 2), *BAGS], {}, 4, 1, [i(1, FAR, 3), i(-1, 0, 0)]),
    "gather": ("gather.default", [X, 0, DEEP], {}, 1, 1, [DEEP + FAR, DEEP - 1, DEEP + 4]),
    "index": ("index.Tensor", [X, [PLACES]], {}, 1, 1, [i(1, FAR), i(-5, 0), i(4, 0)]),
    "index_add": ("index_add.default", [X, 0, PLACES, SOURCE], {}, 1, 1, [i(1, FAR), i(-5, 0)]),
    "index_copy": ("index_copy.default", [X, 0, PLACES, SOURCE], {}, 1, 1, [i(1, FAR), i(-5, 0)]),
    "index_fill": ("index_fill.int_Scalar", [X, 0, PLACES, 2.0], {}, 1, 1, [i(1, FAR), i(-5, 0)]),
    "index_put": ("index_put.default", [X, [PLACES], SOURCE], {}, 1, 1, [i(1, FAR), i(-5, 0)]),
    "index_put, added": ("index_put.default", [X, [PLACES], SOURCE, True], {}, 1, 1, [i(1, FAR), i(-5, 0)]),
    "index_reduce": ("index_reduce.default", [X, 0, PLACES, SOURCE, "amax"], {}, 1, 1, [i(1, FAR), i(-5, 0)]),
    "index_select": ("index_select.default", [X, 0, PLACES], {}, 1, 1, [i(1, FAR), i(-1, 0)]),
    "masked_scatter": (
        "masked_scatter.default", [X, X[:, :1] > 2, o(2)], {}, 1, 1, [np.ones((4, 1), bool)],
    ),
    "max_unpool2d": (
        "max_unpool2d.default", [o(1, 1, 2, 2), i(0, 3, 8, 9).reshape(1, 1, 2, 2), [4, 4]], {}, 1, 1,
        [i(0, 3, 8, FAR).reshape(1, 1, 2, 2), i(-1, 3, 8, 9).reshape(1, 1, 2, 2)],
    ),
    "nll_loss": ("nll_loss_nd.default", [X[:2], PLACES], {}, 1, 1, [i(1, FAR), i(-1, 0)]),
    "cross_entropy": ("cross_entropy_loss.default", [X[:2], PLACES], {}, 1, 1, [i(1, FAR), i(-1, 0)]),
    "one_hot": ("one_hot.default", [PLACES, 5], {}, 1, 0, [i(1, FAR), i(-1, 0), i(5, 0)]),
    "put": ("put.default", [X, PLACES, o(2)], {}, 1, 1, [i(1, FAR), i(-13, 0)]),
    "scatter": ("scatter.src", [X, 0, DEEP, SOURCE], {}, 1, 1, [DEEP + FAR, DEEP - 1]),
    "scatter, a number": ("scatter.value", [X, 0, DEEP, 2.0], {}, 1, 1, [DEEP + FAR, DEEP - 1]),
    "scatter_add": ("scatter_add.default", [X, 0, DEEP, SOURCE], {}, 1, 1, [DEEP + FAR, DEEP - 1]),
    "scatter_reduce": ("scatter_reduce.two", [X, 0, DEEP, SOURCE, "sum"], {}, 1, 1, [DEEP + FAR, DEEP - 1]),
    "searchsorted": (
        "searchsorted.Tensor", [o(3), o(2)], {"sorter": i(0, 1, 2)}, 1, 2, [i(0, FAR, 2), i(0, -1, 2)],
    ),
    "take": ("take.default", [X, PLACES], {}, 1, 1, [i(1, FAR), i(-13, 0)]),
    "quotients": ("floor_divide.default", [INTEGERS, i(2, 2)], {}, 1, 1, [i(0, 2)]),
    "remainders": ("remainder.Tensor", [INTEGERS, i(2, 2)], {}, 1, 1, [i(0, 2)]),
    "remainders, signed": ("fmod.Tensor", [INTEGERS, i(2, 2)], {}, 1, 1, [i(0, 2)]),
    "quotients by zero": ("div.Tensor_mode", [INTEGERS, i(2, 2)], {"rounding_mode": "trunc"}, 1, 1, [i(0, 2)]),
    "the lowest by -1": ("div.Tensor_mode", [LOWEST, i(2, 2)], {"rounding_mode": "trunc"}, 1, 1, [i(-1, 2)]),
}  # fmt: skip


@pytest.fixture(scope="module")
def compiled() -> Iterator[tuple[LoadedSegment, dict[str, np.ndarray]]]:
    """All of them in one segment, compiled for an honest request."""
    calls = {name: (f"aten.{op}", arguments, keywords, outputs)
             for name, (op, arguments, keywords, outputs, _, _) in BY_VALUES.items()}  # fmt: skip
    calls["empty"] = ("aten.empty.memory_format", [[1000]], {}, 1)
    calls["empty_permuted"] = ("aten.empty_permuted.default", [[10, 100], [1, 0]], {}, 1)
    made, inputs = segment(calls)
    loaded = make_engine("compile", 1).load(made)
    used = [torch.full((1000,), 7.0) for _ in range(64)]  # what a request before this one has left
    del used
    answers, expected = loaded.run(inputs, {}), make_engine("torch", 1).load(made).run(inputs, {})
    wrong = [name for name, value in expected.items() if not np.array_equal(answers[name], value)]
    assert not wrong
    assert not answers["empty.out0"].any()
    assert not answers["empty_permuted.out0"].any()
    yield loaded, inputs
    torch._dynamo.reset()


_REASONS = "(?i)index|out of (range|bounds)|do not fit|ZeroDivision|class values|non-negative|number of ones|offsets"
"""torch's own words for such values, and ours."""


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_VALUES)
def test_lying_values_are_refused_after_an_honest_request(
    name: str, compiled: tuple[LoadedSegment, dict[str, np.ndarray]]
) -> None:
    loaded, honest = compiled
    lying, lies = BY_VALUES[name][4:]
    target = [given for given in honest if given.rpartition(".")[0] == name][lying]
    for lie in lies:
        assert lie.shape == honest[target].shape
        with pytest.raises(PartwiseError, match=_REASONS):
            loaded.run({**honest, target: lie}, {})
    loaded.run(honest, {})


@pytest.mark.slow
def test_places_that_a_compiler_takes_for_bounded_are_looked_at() -> None:
    """sigmoid(x) · 9 lies between 0 and 9 for every number, and as an integer anywhere for what is none."""
    calls = {"s": ("aten.sigmoid.default", [o(2, 3)], {}, 1)}
    made, inputs = segment(calls)
    graph, name = made.ir, next(iter(inputs))
    assert graph is not None
    steps = [
        Node(op="aten.mul.Tensor", args=(Ref("s.out0"), 9.0), outputs=("m",)),
        Node(op="aten._to_copy.default", args=(Ref("m"),), kwargs=(("dtype", _int64()),), outputs=("p",)),
        Node(op="aten.gather.default", args=(Ref("w"), 0, Ref("p")), outputs=("y",)),
    ]
    specs = [TensorSpec(name=n, dtype=DType.FLOAT32, shape=None) for n in ("m", "p", "y")]
    weight = TensorSpec(name="w", dtype=DType.FLOAT32, shape=(10, 3))
    whole = Graph(
        format=Format.TORCH, name="g", settings=(), symbols=(), inputs=graph.inputs,
        outputs=(Output(name="y", tensor="y"),),
        weights=(Weight(tensor="w", key="w", trainable=False),), tensors=(*graph.tensors, weight, *specs),
        nodes=(*graph.nodes, *steps),
    )  # fmt: skip
    loaded = make_engine("compile", 1).load(
        Segment(name="segment 0", format=Format.TORCH, graph=b"", weights={"w": o(10, 3)}, ir=whole)
    )
    assert loaded.run(inputs, {})["y"].tolist() == o(2, 3).tolist()
    with pytest.raises(PartwiseError, match="out of bounds"):
        loaded.run({name: np.full((2, 3), np.nan, np.float32)}, {})


def _int64() -> Any:
    from partwise.ir import Enum

    return Enum("dtype", "int64")


@pytest.mark.slow
def test_a_state_that_grows_is_refused() -> None:
    """The next request would be compiled anew, without having been tried out."""
    made, inputs = segment(
        {"y": ("aten.cat.default", [[o(2), o(2)]], {}, 1)},
        weights={"kept": o(2)},
        mutations=(Mutation(target="kept", tensor="y.out0"),),
    )
    with pytest.raises(EngineError, match="another shape or type to `kept`"):
        make_engine("compile", 1).load(made).run(inputs, {})
