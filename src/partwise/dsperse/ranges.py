"""Which tensor inside a segment went out of its circuit's range: the prover names a number, people want a name."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, log2

import numpy as np

from partwise.cutting.onnx_sealed import sealed_onnx
from partwise.errors import InputError
from partwise.extras import require
from partwise.packaging import Segment
from partwise.verification.zk.prover import OutOfRange

__all__ = ["out_of_range"]

_PRODUCTS = ("Conv", "Gemm", "MatMul", "Mul")
"""Their outputs have the scales of both factors until they are rounded; **Source**: facts of issue "Prove" (rebase)."""
_DEPTH = 4
"""Scales that may add up in integer mode, where nothing is rounded. Assumed."""


def out_of_range(
    error: OutOfRange, segment: Segment, inputs: Mapping[str, np.ndarray], scale: int, *, integer: bool
) -> InputError:
    """A witness that failed, as the user's mistake: which tensor, how far.

    Args:
        error: of the prover.
        segment: as ONNX.
        inputs: that it ran on, as floats.
        scale: fixed-point bits of the circuit's inputs.
        integer: whether it is in integer mode.
    """
    sizes, products = _largest_values(segment, inputs)
    first = (n for n, size in sizes.items() if size * 2.0 ** (scale * (1 + (n in products))) >= error.reach)
    name = next(first, None) if not integer else None
    name = name or _nearest(sizes, error.value, scale)
    got = f"{error.value}, {error.value / error.reach:.3g} times as far; it is {sizes[name]:.6g} in onnxruntime"
    return InputError(
        f"{error.subject}, `{name}`",
        "holds a value outside the range of its circuit",
        expected=f"below {error.reach}",
        got=got,
        hint="more --legs, a larger --base or a smaller --scale, and compile again.",
    )


def _largest_values(segment: Segment, inputs: Mapping[str, np.ndarray]) -> tuple[dict[str, float], set[str]]:
    """The largest magnitude of every tensor that a node makes, in order, and which of them are products."""
    onnx, runtime = require("onnx"), require("onnxruntime")
    model = onnx.ModelProto.FromString(sealed_onnx(segment))
    known = {output.name for output in model.graph.output}
    made = {name: node.op_type for node in model.graph.node for name in node.output if name}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name not in known)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = zip(made, session.run(list(made), dict(inputs)), strict=True)
    sizes = {name: float(np.abs(value).max()) for name, value in found if value.size and value.dtype.kind in "iuf"}
    return sizes, {name for name, op in made.items() if op in _PRODUCTS}


def _nearest(sizes: Mapping[str, float], value: int, scale: int) -> str:
    """The tensor whose largest value, at some scale of the circuit, is nearest to the prover's number."""

    def distance(name: str) -> float:
        return min(_apart(sizes[name], value, count * scale) for count in range(1, _DEPTH + 1))

    return min(sizes, key=distance)


def _apart(size: float, value: int, bits: int) -> float:
    """How many powers of two lie between them."""
    return abs(log2(size) + bits - log2(value)) if 0 < size < inf and value > 0 else inf
