"""Run a torch graph operator by operator, with every value kept: what an archive's program answers by itself.

Plain and slow on purpose: the reference for an archive, which has no module to ask.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.extras import require
from partwise.ir.dims import evaluate as evaluate_dim
from partwise.packaging.arrays import numpy_dtype
from partwise.torch_arrays import from_numpy, to_numpy

__all__ = ["evaluate"]


def evaluate(
    graph: ir.Graph, weights: Mapping[str, np.ndarray], requests: Iterable[Mapping[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    """The graph's results by name, for each request; what one writes to the graph's state the next one reads.

    Args:
        graph: of torch's operators.
        weights: by tensor name.
        requests: inputs by name.
    """
    held: dict[str, Any] = {weight.tensor: from_numpy(weights[weight.tensor]).clone() for weight in graph.weights}
    held |= {constant.tensor: _constant(graph, constant) for constant in graph.constants}
    found = list[dict[str, np.ndarray]]()
    for inputs in requests:
        values = _evaluate(graph, held, inputs)
        found.append({output.name: to_numpy(values[output.tensor]).copy() for output in graph.outputs})
        held |= {m.target: values[m.tensor].clone() for m in graph.mutations if m.target in held}
    return found


def _evaluate(graph: ir.Graph, held: Mapping[str, Any], inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Every value of the graph, by tensor name."""
    torch = require("torch")
    sizes = {s.name: inputs[s.input].shape[s.dim] for s in graph.symbols if s.input is not None and s.dim is not None}
    values = {**held, **{name: from_numpy(np.array(inputs[name])) for name in graph.inputs}}
    with torch.no_grad():
        for node in graph.nodes:
            args = [_value(argument, values, sizes) for argument in node.args]
            kwargs = {name: _value(argument, values, sizes) for name, argument in node.kwargs}
            result = _overload(node)(*args, **kwargs)
            results = [result] if isinstance(result, torch.Tensor) else list(result)
            values.update(zip(node.outputs, results, strict=True))
    return values


def _value(argument: ir.Argument, values: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
    match argument:
        case ir.Ref(name):
            return values[name]
        case ir.Sym(expression):
            return evaluate_dim(expression, sizes)
        case ir.Enum(_, name):
            return getattr(require("torch"), name)
        case tuple():
            return [_value(item, values, sizes) for item in argument]
        case _:
            return argument


def _overload(node: ir.Node) -> Any:
    """The overload that a row of the operator table names; nothing else is ever looked up."""
    namespace, name, overload = ir.operator(node.op, node.module).name.split(".")
    return getattr(getattr(getattr(require("torch").ops, namespace), name), overload)


def _constant(graph: ir.Graph, constant: ir.Constant) -> Any:
    spec = graph.spec[constant.tensor]
    array = np.frombuffer(base64.b64decode(constant.data), numpy_dtype(spec.dtype))
    return from_numpy(array.reshape([int(size) for size in spec.shape or ()])).clone()
