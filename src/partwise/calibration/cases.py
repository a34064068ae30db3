"""Operators that are timed: what each one is, as a graph to predict and as arrays to run.

They are shapes of common networks, none of them a model: what they give is used for models that were never timed. A
call has its operator several times, each with weights of its own, so that they come from memory as a model's do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from partwise.ir import Argument, DType, Format, Graph, Node, Output, Ref, TensorSpec, Weight

__all__ = ["CASES", "WIDTH_BETWEEN", "Case", "Prepared", "case_graph"]

Shape = tuple[int, ...]
_COLD_BYTES = 64 << 20
"""Weights of one call: more than a last-level cache of 32 MiB keeps until the next."""
_MOST_COPIES = 32
"""Of small weights, whose way from memory is short beside the operator itself."""
WIDTH_BETWEEN = 512
"""Of products that come between small operators: a weight of 1 MiB, about what a core's own cache holds."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call to be timed."""

    call: Callable[[], object]
    operators: int
    """Of one call, which share its time."""


@dataclass(frozen=True, slots=True)
class Case:
    """One operator at one size, float32."""

    figure: str
    """The share of a rate that it tells: a key of `Device.efficiency`."""
    op: str
    """`linear`, `bmm`, `attention`, `conv`, `add`, `relu`, `gelu`, `tanh`, `sigmoid`, `max_pool`, `softmax` or
    `layer_norm`."""
    inputs: tuple[Shape, ...]
    out: Shape
    weights: tuple[Shape, ...] = ()
    stride: int = 1
    groups: int = 1

    @property
    def name(self) -> str:
        """Operator and sizes, for people."""
        return f"{self.op} {' '.join('×'.join(map(str, shape)) for shape in (*self.inputs, *self.weights))}"

    @property
    def copies(self) -> int:
        """How often a call has the operator, each time with other weights."""
        each = 4 * sum(math.prod(shape) for shape in self.weights)
        return min(_MOST_COPIES, math.ceil(_COLD_BYTES / each)) if each else 1


def case_graph(case: Case) -> Graph:
    """The operator as a graph of one node."""
    names = [f"x{number}" for number in range(len(case.inputs))]
    held = [f"w{number}" for number in range(len(case.weights))]
    shapes = [*zip(names, case.inputs, strict=True), *zip(held, case.weights, strict=True), ("y", case.out)]
    args: tuple[Argument, ...] = tuple(Ref(name) for name in (*names, *held))
    return Graph(
        format=Format.TORCH,
        name=case.name,
        settings=(),
        symbols=(),
        inputs=tuple(names),
        weights=tuple(Weight(tensor=name, key=name, trainable=True) for name in held),
        outputs=(Output(name="y", tensor="y"),),
        tensors=tuple(TensorSpec(name=name, dtype=DType.FLOAT32, shape=shape) for name, shape in shapes),
        nodes=(Node(op=_ATEN[case.op], args=args, outputs=("y",)),),
    )


_ATEN = {
    "linear": "aten.linear.default",
    "bmm": "aten.bmm.default",
    "attention": "aten.scaled_dot_product_attention.default",
    "conv": "aten.conv2d.default",
    "add": "aten.add.Tensor",
    "relu": "aten.relu.default",
    "gelu": "aten.gelu.default",
    "tanh": "aten.tanh.default",
    "sigmoid": "aten.sigmoid.default",
    "max_pool": "aten.max_pool2d.default",
    "softmax": "aten.softmax.int",
    "layer_norm": "aten.layer_norm.default",
}


def _linear(rows: int, depth: int, columns: int) -> Case:
    return Case("matmul", "linear", ((rows, depth),), (rows, columns), ((columns, depth),))


def _bmm(batch: int, rows: int, depth: int, columns: int) -> Case:
    return Case("batched", "bmm", ((batch, rows, depth), (batch, depth, columns)), (batch, rows, columns))


def _attention(heads: int, length: int, width: int) -> Case:
    shape = (1, heads, length, width)
    return Case("attention", "attention", (shape, shape, shape), shape)


def _conv(channels: int, out: int, side: int, kernel: int, stride: int = 1, groups: int = 1) -> Case:
    weight = (out, channels // groups, kernel, kernel)
    sides = (side // stride, side // stride)
    figure = "grouped" if groups > 1 else "conv"
    return Case(figure, "conv", ((1, channels, side, side),), (1, out, *sides), (weight,), stride, groups)


def _depthwise(channels: int, side: int, kernel: int, stride: int = 1) -> Case:
    return _conv(channels, channels, side, kernel, stride, channels)


def _same(figure: str, op: str, *shape: int) -> Case:
    return Case(figure, op, (shape,) * (2 if op == "add" else 1), shape)


def _all() -> Iterator[Case]:
    for sizes in ((4096, 4096), (2048, 8192), (4096, 11008)):  # no large results: they would tell what new pages cost
        yield replace(_linear(1, *sizes), figure="memory")
    yield from (_linear(*sizes) for sizes in ((128, 768, 768), (128, 3072, 768), (197, 768, 2304), (64, 384, 1536)))
    yield from (_linear(size, size, size) for size in (512, 1024))
    yield from (_bmm(*sizes) for sizes in ((12, 128, 64, 128), (12, 197, 64, 197), (12, 197, 197, 64)))
    yield from (_attention(*sizes) for sizes in ((12, 128, 64), (12, 197, 64), (32, 256, 64)))
    yield from (_conv(*sizes) for sizes in ((64, 64, 56, 3), (128, 128, 28, 3), (256, 256, 14, 3)))
    yield from (_conv(*sizes) for sizes in ((64, 256, 56, 1), (512, 128, 28, 1), (256, 1024, 14, 1)))
    yield from (_conv(*sizes) for sizes in ((3, 64, 224, 7, 2), (24, 144, 56, 1), (96, 576, 14, 1)))
    for sizes in ((512, 512, 7, 3), (2048, 512, 7, 1), (512, 2048, 7, 1)):
        yield replace(_conv(*sizes), figure="packing")  # large weights beside little arithmetic
    for sizes in ((96, 112, 3, 2), (144, 56, 3), (480, 14, 3), (960, 7, 3)):
        yield replace(_depthwise(*sizes), figure="layout")  # little arithmetic beside what is laid out
    yield from (_depthwise(*sizes) for sizes in ((96, 56, 5), (240, 28, 5), (672, 14, 5)))
    yield from (_same("vector", op, 128, 3072) for op in ("gelu", "sigmoid"))
    yield _same("vector", "relu", 1, 256, 56, 56)
    yield _same("tanh", "tanh", 128, 3072)
    yield Case("max_pool", "max_pool", ((1, 64, 112, 112),), (1, 64, 56, 56))
    yield from (_same("softmax", "softmax", 12, length, length) for length in (128, 197))
    yield from (_same("norm", "layer_norm", *shape) for shape in ((128, 384), (197, 768)))


CASES: tuple[Case, ...] = tuple(_all())
