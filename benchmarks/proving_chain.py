"""Models cut by a recipe, each segment a circuit in integer mode, with as few binary digits as an error allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, log2

import numpy as np
import onnx
import onnxruntime
from proving_models import segments

from partwise.verification.zk.circuits import Circuit, bounds, evaluate, lower
from partwise.verification.zk.circuits.split import split_operator

__all__ = ["RECIPES", "Chain", "Digits", "Recipe", "fewest_digits", "lowered", "real_outputs", "run"]

Digits = dict[str, int]
"""Binary digits after the point of the input `x` and of the weights of each node."""
MARGIN_BITS = 2
"""By which a value may exceed the greatest of the samples; beyond that the witness fails."""
MOST_DIGITS = 16
"""Calibrated, the usual recipe has 13 or 14."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is cut."""

    splits: tuple[tuple[str, int], ...] = ()
    """Operators and in how many parts each."""
    cuts: tuple[tuple[str, ...], ...] = ()
    """What each segment but the last makes."""


RECIPES = {
    "mlp": {
        "whole": Recipe(),
        "2 segments": Recipe(cuts=(("fc2_relu",),)),
        "4 segments": Recipe(cuts=(("fc1_relu",), ("fc2_relu",), ("fc3_relu",))),
        "7 segments": Recipe(
            splits=(("fc1", 2), ("fc2", 2), ("fc3", 2)),
            cuts=tuple((f"fc{n}_relu/{half}",) for n in (1, 2, 3) for half in (0, 1)),
        ),
    },
    "lenet-mini": {
        "whole": Recipe(),
        "3 segments": Recipe(cuts=(("conv1_pool",), ("conv2_pool",))),
        "2 segments": Recipe(cuts=(("conv1_pool",),)),
        "fc apart": Recipe(cuts=(("conv2_pool",),)),
        "half of conv1 apart": Recipe(splits=(("conv1", 2),), cuts=(("conv1_pool/0",),)),
        "half of conv1 and fc apart": Recipe(splits=(("conv1", 2),), cuts=(("conv1_pool/0",), ("conv2_pool",))),
    },
    "lenet5": {
        "3 segments": Recipe(cuts=(("conv1_pool",), ("conv2_pool",))),
        "conv1 in 3": Recipe(
            splits=(("conv1", 3),), cuts=(("conv1_pool/0",), ("conv1_pool/1",), ("conv1_pool/2",), ("conv2_pool",))
        ),
    },
}


@dataclass(slots=True, kw_only=True)
class Chain:
    """Segments lowered, and the exact integers of every sample on the way through."""

    circuits: list[Circuit] = field(default_factory=list[Circuit])
    ranges: list[float] = field(default_factory=list[float])
    """Binary logarithms of what no value reaches."""
    values: list[dict[str, np.ndarray]]
    bits: dict[str, int]


def lowered(model: onnx.ModelProto, recipe: Recipe, samples: np.ndarray, digits: Digits) -> Chain:
    """Every segment as a circuit, with the range of its values: by interval arithmetic for requests between -1 and 1,
    or of the samples with a margin, whichever is less."""
    data = model.SerializeToString()
    for node, parts in recipe.splits:
        data = split_operator(data, node, parts)
    given = [{"x": np.rint(x * 2 ** digits["x"]).astype(int)} for x in samples]
    chain = Chain(values=given, bits={"x": digits["x"]})
    reach = {"x": 2 ** digits["x"]}
    for piece in segments(onnx.shape_inference.infer_shapes(onnx.load_from_string(data)), recipe.cuts):
        of_parts = {
            node.name: digits[node.name.partition("/")[0]] for node in piece.graph.node if _weighs(node, digits)
        }
        circuit = lower(piece.SerializeToString(), weight_bits=of_parts, input_bits=chain.bits)
        chain.circuits.append(circuit)
        widest = bounds(circuit, reach)
        largest = max(bounds(circuit, sample, spread=False) for sample in chain.values)
        chain.ranges.append(log2(min(widest, largest << MARGIN_BITS) + 1))
        for sample in chain.values:
            sample.update(evaluate(circuit, sample))
        chain.bits.update({port.name: port.bits for port in circuit.outputs})  # pyright: ignore[reportCallIssue]
        reach.update({port.name: ceil(2 ** chain.ranges[-1]) for port in circuit.outputs})
    return chain


def _weighs(node: onnx.NodeProto, digits: Digits) -> bool:
    return node.name.partition("/")[0] in digits


def fewest_digits(model: onnx.ModelProto, samples: np.ndarray, most: float) -> Digits:
    """Digits of the input and of each weight: one number for all that keeps the error, then less wherever it still
    does, the last layers first, since their digits are on top of all others."""
    held = {tensor.name for tensor in model.graph.initializer}
    true = np.array([run(model, x).ravel() for x in samples])
    names = ["x", *(node.name for node in model.graph.node if held & set(node.input))]

    def keeps(digits: Digits) -> bool:
        found = real_outputs(model, lowered(model, Recipe(), samples, digits))
        return float(np.abs(found - true).max()) <= most

    start = next(n for n in range(3, MOST_DIGITS + 1) if n == MOST_DIGITS or keeps(dict.fromkeys(names, n)))
    digits = dict.fromkeys(names, start)
    for name in reversed(names):
        while digits[name] > 2 and keeps(digits | {name: digits[name] - 1}):
            digits[name] -= 1
    return digits


def real_outputs(model: onnx.ModelProto, chain: Chain) -> np.ndarray:
    """What the chain says of every sample, [sample, output]."""
    name = model.graph.output[0].name
    return np.array([[int(v) / 2 ** chain.bits[name] for v in sample[name].ravel()] for sample in chain.values])


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The first output by onnxruntime."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    given = model.graph.input[0]
    shape = [dim.dim_value for dim in given.type.tensor_type.shape.dim]
    return session.run(None, {given.name: x.reshape(shape)})[0]
