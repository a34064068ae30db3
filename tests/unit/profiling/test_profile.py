"""Counts and memory over time, on graphs small enough to count by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphs import Builder
from partwise.errors import GraphError, InputError
from partwise.hardware import REFERENCE_DEVICE
from partwise.ir import DType, Format, Graph, Node, Output, Ref, Symbol, TensorSpec, Weight
from partwise.profiling import profile, timeline


def mlp() -> Graph:
    """x [batch, 4] -> linear 8 -> view -> relu -> linear 2; the second weight is tied to a second use."""

    def spec(name: str, *shape: int | str) -> TensorSpec:
        return TensorSpec(name=name, dtype=DType.FLOAT32, shape=shape)

    def node(op: str, out: str, *args: str) -> Node:
        return Node(op=f"aten.{op}.default", args=tuple(Ref(a) for a in args), outputs=(out,))

    return Graph(
        format=Format.TORCH,
        name="mlp",
        settings=(),
        symbols=(Symbol(name="batch", hint=3, input="x", dim=0),),
        inputs=("x",),
        weights=(
            Weight(tensor="w1", key="w1", trainable=True),
            Weight(tensor="w2", key="w2", trainable=True),
            Weight(tensor="mean", key="mean", trainable=False),
        ),
        outputs=(Output(name="y", tensor="y"),),
        tensors=(
            spec("x", "batch", 4),
            spec("w1", 8, 4),
            spec("w2", 2, 8),
            spec("mean", 8),
            spec("a", "batch", 8),
            spec("v", "batch", 8),
            spec("r", "batch", 8),
            spec("c", "batch", 8),
            spec("y", "batch", 2),
        ),
        nodes=(
            node("linear", "a", "x", "w1"),
            node("detach", "v", "a"),
            node("relu", "r", "v"),
            replace(node("relu", "c", "r", "mean"), op="aten.sub.Tensor"),
            node("linear", "y", "c", "w2"),
        ),
    )


def test_totals() -> None:
    found = profile(mlp())
    assert found.sizes == {"batch": 3}
    assert found.macs == 3 * (4 * 8 + 8 * 2)
    assert found.flops == 2 * found.macs
    assert found.parameters == 8 * 4 + 2 * 8  # the buffer is no parameter
    assert found.weight_bytes == 4 * (8 * 4 + 2 * 8 + 8)


def test_a_view_costs_nothing_and_a_weight_is_read_once() -> None:
    linear, view, relu = profile(mlp()).nodes[:3]
    assert (view.input_bytes, view.output_bytes, view.macs) == (0, 0, 0)
    assert (linear.input_bytes, linear.output_bytes, linear.weight_bytes) == (48, 96, 128)
    assert (relu.input_bytes, relu.output_bytes, relu.weight_bytes) == (96, 96, 0)


def test_other_sizes_need_no_other_graph() -> None:
    assert profile(mlp(), {"batch": 30}).macs == 10 * profile(mlp()).macs


@pytest.mark.parametrize("sizes", [{"sequence": 3}, {"batch": 0}, {"batch": -1}])
def test_sizes_that_make_no_sense(sizes: dict[str, int]) -> None:
    with pytest.raises(InputError):
        profile(mlp(), sizes)


@pytest.mark.parametrize(
    ("dim", "sizes", "words"),
    [
        ("batch", {"batch": 1 << 60}, "tensor `a`: is absurdly large"),
        (10**400, {}, "tensor `r`: is absurdly large"),
        ("batch - 5", {}, "tensor `r`: has a negative size"),
    ],
)
def test_sizes_that_nothing_has(dim: int | str, sizes: dict[str, int], words: str) -> None:
    graph = mlp()
    tensors = tuple(replace(spec, shape=(dim, 8)) if spec.name == "r" else spec for spec in graph.tensors)
    with pytest.raises(GraphError, match=words):
        profile(replace(graph, tensors=tensors), sizes)


def test_memory_over_time() -> None:
    graph = mlp()
    found = timeline(graph, range(5), ["x"], ["y"], {"batch": 3})
    # linear: x + a; the view owns nothing and keeps `a`; relu: a + r; sub: r + c; linear: c + y
    assert found.alive_bytes == (48 + 96, 96, 96 + 96, 96 + 96, 96 + 24)
    assert found.peak_bytes == 192


def test_a_sent_value_stays_and_a_received_one_is_there_from_the_start() -> None:
    graph = mlp()
    found = timeline(graph, [2, 3], ["a"], ["r", "c"], {"batch": 3}, None)
    assert found.alive_bytes == (192, 192)


def test_seconds_are_the_longer_of_arithmetic_and_traffic() -> None:
    linear = profile(mlp()).nodes[0]
    assert linear.seconds(REFERENCE_DEVICE) == (48 + 96 + 128) / REFERENCE_DEVICE.memory_bytes_per_s
    busy = replace(linear, macs=10**12)
    assert busy.seconds(REFERENCE_DEVICE) == 2 * 10**12 / REFERENCE_DEVICE.flops_per_s
    half = replace(busy, dtype="bfloat16")
    assert half.seconds(REFERENCE_DEVICE) == 2 * 10**12 / REFERENCE_DEVICE.peak("bfloat16").flops_per_s


@pytest.mark.parametrize(("tokens", "met"), [(1, 2), (3, 6), (4, 8), (100, 8)])
def test_experts_read_the_weights_of_those_that_are_met(tokens: int, met: int) -> None:
    make = Builder()
    hidden, index = make.input((tokens, 4)), make.input((tokens, 2), DType.INT64)
    shares, up, down = make.input((tokens, 2)), make.weight((8, 12, 4)), make.weight((8, 4, 6))
    made = make.node("partwise.experts.default", [hidden, index, shares, up, down], (tokens, 4))
    cost = profile(make.graph(made)).nodes[0]
    assert cost.weight_bytes == met * (12 * 4 + 4 * 6) * 4
    assert cost.macs == tokens * 2 * (12 * 4 + 4 * 6)
