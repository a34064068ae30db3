"""Small graphs for tests, made by hand: no framework, no model.

`Builder` adds nodes one by one; `chain`, `diamond` and `random_graph` are the usual shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from partwise.ir import DType, Format, Graph, Mutation, Node, Output, Ref, Symbol, TensorSpec, Weight

__all__ = ["Builder", "chain", "decoder", "diamond", "random_graph", "transformer"]


class Builder:
    """A torch graph under construction; every method returns the name of the value that it adds."""

    def __init__(self) -> None:
        self.tensors: list[TensorSpec] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.inputs: list[str] = []
        self.weights: list[Weight] = []
        self.nodes: list[Node] = []
        self.mutations: list[Mutation] = []

    def tensor(self, name: str, shape: Sequence[int], dtype: DType = DType.FLOAT32) -> str:
        self.shapes[name] = tuple(shape)
        self.tensors.append(TensorSpec(name=name, dtype=dtype, shape=tuple(shape)))
        return name

    def input(self, shape: Sequence[int], dtype: DType = DType.FLOAT32) -> str:
        self.inputs.append(f"input_{len(self.inputs)}")
        return self.tensor(self.inputs[-1], shape, dtype)

    def weight(self, shape: Sequence[int], *, trainable: bool = True) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(Weight(tensor=name, key=name.replace("_", "."), trainable=trainable))
        return self.tensor(name, shape)

    def node(
        self, op: str, args: Sequence[object], shape: Sequence[int], dtype: DType = DType.FLOAT32, module: str = ""
    ) -> str:
        name = f"{op.split('.')[1]}_{len(self.nodes)}"
        given = tuple(Ref(arg) if isinstance(arg, str) else arg for arg in args)
        self.nodes.append(Node(op=op, args=given, outputs=(name,), module=module))
        return self.tensor(name, shape, dtype)

    def linear(self, x: str, width: int, weight: str | None = None) -> str:
        """A product with a weight of its own, unless an existing one is named."""
        rows, length = self.shape(x)
        return self.node("aten.linear.default", [x, weight or self.weight((width, length))], (rows, width))

    def relu(self, x: str) -> str:
        return self.node("aten.relu.default", [x], self.shape(x))

    def add(self, x: str, y: str) -> str:
        return self.node("aten.add.Tensor", [x, y], self.shape(x))

    def view(self, x: str, shape: Sequence[int]) -> str:
        return self.node("aten.view.default", [x, tuple(shape)], shape)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def graph(self, *outputs: str) -> Graph:
        """The graph with these results."""
        return Graph(
            format=Format.TORCH,
            name="test",
            settings=(),
            symbols=(),
            inputs=tuple(self.inputs),
            weights=tuple(self.weights),
            outputs=tuple(Output(name=f"out_{i}", tensor=name) for i, name in enumerate(outputs)),
            mutations=tuple(self.mutations),
            tensors=tuple(self.tensors),
            nodes=tuple(self.nodes),
        )


def chain(widths: Sequence[int], rows: int = 2) -> Graph:
    """linear, relu, linear, relu, … over these widths."""
    make = Builder()
    x = make.input((rows, widths[0]))
    for width in widths[1:]:
        x = make.relu(make.linear(x, width))
    return make.graph(x)


def diamond(width: int = 8, rows: int = 2) -> Graph:
    """One linear, two branches of a linear and a relu, their sum."""
    make = Builder()
    x = make.linear(make.input((rows, width)), width)
    left, right = make.relu(make.linear(x, width)), make.relu(make.linear(x, width))
    return make.graph(make.add(left, right))


def random_graph(seed: int, nodes: int, rows: int = 2, width: int = 8) -> Graph:
    """A connected mix of linear, relu, add, views, tied weights, derived nodes and skip connections."""
    random, make = Random(seed), Builder()
    ids = make.input((rows, width), DType.INT64)
    mask = make.node("aten._to_copy.default", [ids], (rows, width))
    values = [make.input((rows, width))]
    kinds = ("linear", "linear", "linear", "relu", "relu", "add", "add", "view", "mask")
    while len(make.nodes) < nodes + 1:
        x, y = random.choice(values[-3:]), random.choice(values[-99:])
        match random.choice(kinds):
            case "linear":
                tied = [w.tensor for w in make.weights[-9:] if make.shape(w.tensor) == (width, make.shape(x)[1])]
                values.append(make.linear(x, width, random.choice([*tied, None, None])))
            case "relu":
                values.append(make.relu(x))
            case "add" if make.shape(x) == make.shape(y):
                values.append(make.add(x, y))
            case "view" if make.shape(x) == (rows, width):
                values.append(make.view(x, (rows * 2, width // 2)))
            case "mask" if make.shape(x) == (rows, width):
                values.append(make.add(x, mask))
            case _:
                pass
    read = {name for node in make.nodes for name in node.inputs}
    ends = [value for value in values if value not in read and value not in make.inputs]
    return make.graph(*dict.fromkeys([*ends, values[-1]]))


def transformer(layers: int, width: int, rows: int, hidden: int | None = None, vocabulary: int = 32000) -> Graph:
    """Blocks of normalisation, attention and a gated feed-forward with residual sums: about 20 nodes a layer."""
    make = Builder()
    ids = make.input((1, rows), DType.INT64)
    angle = make.node("aten._to_copy.default", [ids], (1, rows))
    angle = make.node("aten.view.default", [angle, (rows, 1)], (rows, 1))
    cos, sin = (make.node(f"aten.{name}.default", [angle], (rows, 1)) for name in ("cos", "sin"))
    table = make.weight((vocabulary, width))
    x = make.node("aten.embedding.default", [table, ids], (rows, width))
    for _ in range(layers):
        x = make.add(x, _attention(make, _norm(make, x), cos, sin))
        x = make.add(x, _feed_forward(make, _norm(make, x), hidden or 4 * width))
    return make.graph(make.linear(_norm(make, x), vocabulary))


def _norm(make: Builder, x: str) -> str:
    square = make.node("aten.pow.Tensor_Scalar", [x, 2], make.shape(x))
    mean = make.node("aten.mean.dim", [square, (-1,), True], (make.shape(x)[0], 1))
    scale = make.node("aten.rsqrt.default", [mean], make.shape(mean))
    scaled = make.node("aten.mul.Tensor", [x, scale], make.shape(x))
    return make.node("aten.mul.Tensor", [make.weight(make.shape(x)[1:]), scaled], make.shape(x))


def _attention(make: Builder, x: str, cos: str, sin: str) -> str:
    width = make.shape(x)[1]
    q, k, v = (make.linear(x, width) for _ in range(3))
    q, k = (_rotate(make, value, cos, sin) for value in (q, k))
    mixed = make.node("aten.scaled_dot_product_attention.default", [q, k, v], make.shape(q))
    return make.linear(mixed, width)


def _rotate(make: Builder, x: str, cos: str, sin: str) -> str:
    turned = make.node("aten.neg.default", [x], make.shape(x))
    parts = [make.node("aten.mul.Tensor", [a, b], make.shape(x)) for a, b in ((x, cos), (turned, sin))]
    return make.add(*parts)


def _feed_forward(make: Builder, x: str, hidden: int) -> str:
    gate = make.node("aten.silu.default", [make.linear(x, hidden)], (make.shape(x)[0], hidden))
    product = make.node("aten.mul.Tensor", [gate, make.linear(x, hidden)], make.shape(gate))
    return make.linear(product, make.shape(x)[1])


def decoder(
    layers: int, *, capacity: int | None, heads: int = 4, shared: int = 2, width: int = 8, symbolic: bool = False
) -> Graph:
    """Layers of attention over `shared` K/V heads: with buffers of a capacity, or over the tokens alone.

    Two sequences of four tokens; with `symbolic` all of these and the capacity are symbols.
    """
    make, total = _Sized(capacity, symbolic), heads * width
    batch, rows = make.batch, make.rows
    ids, slots = make.input((batch, rows), DType.INT64), make.input((batch, rows), DType.INT64)
    x = make.node("aten.embedding.default", [make.weight((16, total)), ids], (batch, rows, total))
    for _ in range(layers):
        query = _split(make, x, heads, width)
        key, value = (_kept(make, _split(make, x, shared, width), slots, heads) for _ in range(2))
        mixed = make.node("aten.scaled_dot_product_attention.default", [query, key, value], make.shape(query))
        turned = make.node("aten.transpose.int", [mixed, 1, 2], (batch, rows, heads, width))
        joined = make.node("aten._unsafe_view.default", [turned], (batch, rows, total))
        product = make.node("aten.linear.default", [joined, make.weight((total, total))], (batch, rows, total))
        x = make.add(x, product)
    return replace(make.graph(make.relu(x)), symbols=make.symbols(ids))


class _Sized(Builder):
    """A builder of language models, with their sizes."""

    def __init__(self, capacity: int | None, symbolic: bool) -> None:
        super().__init__()
        self.hints: dict[str, int] = {"batch": 2, "sequence": 4, "logits": 1} if symbolic else {}
        self.hints |= {"capacity": capacity} if symbolic and capacity is not None else {}
        self.batch: Any = "batch" if symbolic else 2
        self.rows: Any = "sequence" if symbolic else 4
        self.capacity: Any = capacity if capacity is None or not symbolic else "capacity"

    def symbols(self, ids: str) -> tuple[Symbol, ...]:
        return tuple(Symbol(name=name, hint=hint, input=ids, dim=0) for name, hint in self.hints.items())


def _split(make: _Sized, x: str, heads: int, width: int) -> str:
    batch, rows, total = make.shape(x)
    made = make.node("aten.linear.default", [x, make.weight((heads * width, total))], (batch, rows, heads * width))
    parted = make.node("aten.view.default", [made], (batch, rows, heads, width))
    return make.node("aten.transpose.int", [parted, 1, 2], (batch, heads, rows, width))


def _kept(make: _Sized, new: str, slots: str, heads: int) -> str:
    """All tokens' keys or values: written into a buffer; or the new ones, repeated for each head."""
    batch, shared, rows, width = make.shape(new)
    if make.capacity is not None:
        buffer = make.input((batch, shared, make.capacity, width))
        turned = make.node("aten.transpose.int", [new, 1, 2], (batch, rows, shared, width))
        written = make.node("aten.index_put.default", [buffer, (None, None, Ref(slots)), turned], make.shape(buffer))
        make.mutations.append(Mutation(target=buffer, tensor=written))
        return written
    each = make.node("aten.unsqueeze.default", [new, 2], (batch, shared, 1, rows, width))
    wide = make.node("aten.expand.default", [each], (batch, shared, heads // shared, rows, width))
    own = make.node("aten.clone.default", [wide], make.shape(wide))
    return make.node("aten.view.default", [own], (batch, heads, rows, width))
