"""The torch engine: a segment's IR rebuilt as an FX module and run eagerly, bit for bit as the source runs.

Only operators of the operator table are looked up, by their exact overload; a file can name nothing else.
"""

from __future__ import annotations

import base64
import operator as python_operator
import time
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import numpy as np

import partwise.ir as ir
from partwise.errors import EngineError, PartwiseError
from partwise.extras import require
from partwise.ir.dims import parse
from partwise.packaging import Segment
from partwise.packaging.arrays import ALIGNMENT, aligned_empty, from_bytes, stride_order
from partwise.runtime.engines.engine import EngineSettings, LoadedSegment, NodeObserver
from partwise.torch_arrays import from_numpy, to_numpy

__all__ = ["TorchEngine"]


class TorchEngine:
    """torch, eagerly, on the CPU."""

    def __init__(self, threads: int) -> None:
        torch = require("torch")
        torch.set_num_threads(threads)
        self._settings = EngineSettings(engine="torch", version=str(torch.__version__), device="cpu", threads=threads)

    @property
    def settings(self) -> EngineSettings:
        return self._settings

    def load(self, segment: Segment) -> LoadedSegment:
        graph = ir.graph_from_data(msgspec.json.decode(segment.graph), segment.name)
        weights = {name: from_numpy(value) for name, value in segment.weights.items()}
        return TorchSegment(graph, weights, segment.name)


class TorchSegment:
    """One segment as an FX module."""

    def __init__(self, graph: ir.Graph, weights: Mapping[str, Any], name: str) -> None:
        self._graph, self._name = graph, name
        self._module = _Builder(graph, weights).build()

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        torch = require("torch")
        values = [from_numpy(_own(inputs[name])) for name in self._graph.inputs]
        bound = [sizes[symbol.name] for symbol in self._graph.symbols]
        try:
            with torch.no_grad():
                results = self._observed(observe, *values, *bound) if observe else self._module(*values, *bound)
        except PartwiseError:
            raise
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise EngineError(self._name, f"torch failed: {str(error).splitlines()[0][:300]}") from error
        names = [output.tensor for output in self._graph.outputs]
        return {name: to_numpy(result) for name, result in zip(names, results, strict=True)}

    def _observed(self, observe: NodeObserver, *arguments: Any) -> Any:
        fx = require("torch.fx")

        class Observing(fx.Interpreter):
            def run_node(self, n: Any) -> Any:
                start = time.monotonic()
                result = super().run_node(n)
                if n.op == "call_function" and "node" in n.meta:
                    observe(n.meta["node"], start, time.monotonic())
                return result

        return Observing(self._module).run(*arguments)


class _Builder:
    """Writes the FX graph of a segment, node by node."""

    def __init__(self, graph: ir.Graph, weights: Mapping[str, Any]) -> None:
        torch, fx = require("torch"), require("torch.fx")
        self._ir, self._torch, self._fx = graph, torch, fx.Graph()
        self._root = torch.nn.Module()
        self._values: dict[str, Any] = {}
        self._held = {**weights, **{c.tensor: _constant(graph, c) for c in graph.constants}}

    def build(self) -> Any:
        """A module called with the segment's inputs, then its symbols, that returns its outputs as a tuple."""
        for position, name in enumerate(self._ir.inputs):
            self._values[name] = self._fx.placeholder(f"input_{position}")
        for symbol in self._ir.symbols:
            self._values[f"symbol {symbol.name}"] = self._fx.placeholder(f"size_{symbol.name}")
        for position, (name, value) in enumerate(self._held.items()):
            self._root.register_buffer(f"weight_{position}", value)
            self._values[name] = self._fx.get_attr(f"weight_{position}")
        for node in self._ir.nodes:
            self._call(node)
        self._fx.output(tuple(self._values[output.tensor] for output in self._ir.outputs))
        return self._torch.fx.GraphModule(self._root, self._fx)

    def _call(self, node: ir.Node) -> None:
        target = _overload(node)
        args = tuple(self._argument(value) for value in node.args)
        kwargs = {name: self._argument(value) for name, value in node.kwargs}
        result = self._fx.call_function(target, args, kwargs)
        result.meta["node"] = node.name
        returns = target._schema.returns
        if len(returns) == 1 and str(returns[0].type) == "Tensor":
            self._values[node.outputs[0]] = result
            return
        for position, name in enumerate(node.outputs):
            self._values[name] = self._fx.call_function(python_operator.getitem, (result, position))

    def _argument(self, value: ir.Argument) -> Any:
        match value:
            case ir.Ref(name):
                return self._values[name]
            case ir.Sym(expression):
                return self._size(expression)
            case ir.Enum(_, name):
                return getattr(self._torch, name)
            case tuple():
                return [self._argument(item) for item in value]
            case _:
                return value

    def _size(self, expression: str) -> Any:
        key = f"size {expression}"
        if key not in self._values:
            self._values[key] = _SizeWriter(self._fx, self._values).write(parse(expression))
        return self._values[key]


class _SizeWriter:
    """Writes a size's arithmetic as FX nodes."""

    def __init__(self, graph: Any, values: Mapping[str, Any]) -> None:
        self._fx, self._values = graph, values

    def write(self, tree: Any) -> Any:
        import ast

        match tree:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._values[f"symbol {name}"]
            case ast.UnaryOp(operand=operand):
                return self._fx.call_function(python_operator.neg, (self.write(operand),))
            case ast.BinOp(left=left, op=op, right=right):
                return self._fx.call_function(_ARITHMETIC[type(op).__name__], (self.write(left), self.write(right)))
            case _:
                function = {"min": min, "max": max}[tree.func.id]
                return self._fx.call_function(function, tuple(self.write(a) for a in tree.args))


_ARITHMETIC = {
    "Add": python_operator.add,
    "Sub": python_operator.sub,
    "Mult": python_operator.mul,
    "FloorDiv": python_operator.floordiv,
    "Mod": python_operator.mod,
}


def _overload(node: ir.Node) -> Any:
    """The overload that a row of the operator table names; nothing else is ever looked up."""
    torch = require("torch")
    row = ir.operator(node.op, node.module)
    namespace, name, overload = row.name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), name), overload)


def _constant(graph: ir.Graph, constant: ir.Constant) -> Any:
    spec = graph.spec[constant.tensor]
    shape = tuple(cast(int, size) for size in spec.shape or ())
    data = base64.b64decode(constant.data)
    return from_numpy(from_bytes(data, spec.dtype, shape, tuple(range(len(shape)))))


def _own(array: np.ndarray) -> np.ndarray:
    """The array, or a dense copy on a 64-byte boundary where it has gaps or lies off one."""
    order = stride_order(array)
    if array.transpose(order).flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0:
        return array
    owned = aligned_empty(array.shape, array.dtype, order)
    owned[...] = array
    return owned
