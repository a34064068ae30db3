"""The compile engine: a torch segment compiled by `torch.compile` (inductor), its weights frozen into the code.

The segment's graph is rebuilt as an FX graph from the operator table: operators by their exact overload, names of
our own, literals as data. Nothing that stands in a file becomes code. A program is compiled for the sizes of its
first request, and again for other sizes; the last few are kept.

It has no exact way: the compiler fuses what it finds in a segment, and a cut decides what it finds.
"""

from __future__ import annotations

import operator
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.errors import EngineError, PartwiseError
from partwise.extras import require
from partwise.freed_memory import freed_memory
from partwise.ir.dims import evaluate
from partwise.kernels import register_experts
from partwise.machine import processor
from partwise.packaging import Segment
from partwise.packaging.arrays import own
from partwise.runtime.engines.compile_guards import before_compilation, by_its_own_kernel, is_unwritten
from partwise.runtime.engines.engine import EngineSettings, LoadedSegment, NodeObserver
from partwise.runtime.engines.failures import engine_failure
from partwise.runtime.engines.torch_devices import find_device
from partwise.runtime.engines.torch_engine import refuse_sizes, torch_graph
from partwise.runtime.engines.torch_program import (
    TorchProgram,
    framework_constant,
    literal_tensor,
    makes_from_nothing,
    overload_of,
)
from partwise.torch_arrays import from_numpy, to_numpy

__all__ = ["CompileEngine", "as_module"]

_MOST_PROGRAMS = 8
"""Sizes for which a segment keeps compiled code. Assumed: streams seldom mix more."""
_COMPILER_HINT = "torch.compile needs a C++ compiler: install g++, or run with `--engine torch`."


class CompileEngine:
    """torch.compile on the CPU or another of torch's devices."""

    def __init__(self, threads: int, device: str = "cpu") -> None:
        torch = require("torch")
        torch.set_num_threads(threads)
        self._device = find_device(device)
        # Compiling in helper processes would leave them behind when a worker is killed.
        require("torch._inductor.config").compile_threads = 1
        self._settings = EngineSettings(
            engine="compile",
            version=str(torch.__version__),
            device=device,
            threads=threads,
            experts=register_experts(),
            exact=False,
            freed_memory=freed_memory(),
            processor=processor(),
        )

    @property
    def settings(self) -> EngineSettings:
        return self._settings

    def load(self, segment: Segment) -> LoadedSegment:
        graph = torch_graph(segment)
        held = {name: from_numpy(own(value)).to(self._device) for name, value in segment.weights.items()}
        return _CompiledSegment(graph, held, segment.name, self._device)


class _CompiledSegment:
    """One segment, and what it was compiled to for each of its last sizes."""

    def __init__(self, graph: ir.Graph, held: dict[str, Any], name: str, device: Any) -> None:
        self._graph, self._held, self._name, self._device = graph, held, name, device
        self._state = {mutation.target: held[mutation.target] for mutation in graph.mutations}
        self._programs: OrderedDict[tuple[object, ...], Any] = OrderedDict()

    def run(
        self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None = None
    ) -> dict[str, np.ndarray]:
        del observe  # its kernels are of many nodes
        given = [from_numpy(own(inputs[name])).to(self._device) for name in self._graph.inputs]
        try:
            with require("torch").no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a compiler's advice is not an answer to the user's request
                results = list(self._program(sizes, given)(*given, *self._state.values()))
        except PartwiseError:
            raise
        except (RuntimeError, ValueError, IndexError, TypeError, ArithmeticError, AssertionError) as error:
            cause = _cause(error)
            if isinstance(cause, PartwiseError):
                raise cause from None
            hint = _COMPILER_HINT if "compiler" in str(cause).lower() else ""
            raise engine_failure(self._name, "torch.compile failed", cause, hint) from error
        names = [output.tensor for output in self._graph.outputs]
        self._keep(results[len(names) :])
        return {name: to_numpy(value.detach().cpu()) for name, value in zip(names, results, strict=False)}

    def _keep(self, states: list[Any]) -> None:
        """Hold the new state, which must be such as the old one: programs were tried out with that."""
        for (name, before), value in zip(self._state.items(), states, strict=True):
            if (value.shape, value.dtype) != (before.shape, before.dtype):
                raise EngineError(self._name, f"writes another shape or type to `{name}`", expected=tuple(before.shape),
                                  got=tuple(value.shape))  # fmt: skip
        self._state = {name: value.clone() for name, value in zip(self._state, states, strict=True)}

    def _program(self, sizes: Mapping[str, int], given: list[Any]) -> Any:
        """The program for these sizes and inputs, compiled after its calls were tried out with them."""
        key = (tuple(sorted(sizes.items())), tuple((value.shape, value.dtype) for value in given))
        if key not in self._programs:
            refuse_sizes(self._graph, sizes, self._name)
            held = {**self._held, **self._state}
            TorchProgram(self._graph, held, self._device, before_compilation).run(list(given), sizes)
            module = as_module(self._graph, self._held, self._state, sizes, self._device)
            self._programs[key] = require("torch").compile(
                module, fullgraph=True, dynamic=False, options={"freezing": True, "assert_indirect_indexing": True}
            )
            if len(self._programs) > _MOST_PROGRAMS:
                self._programs.popitem(last=False)
        self._programs.move_to_end(key)
        return self._programs[key]


def _cause(error: BaseException) -> BaseException:
    """What a kernel has said: on its way out of compiled code Dynamo puts an error of its own in its place, about a
    generator that it cannot trace (torch 2.13)."""
    hidden = error.__context__ if isinstance(error, require("torch._dynamo.exc").Unsupported) else None
    return hidden or error


def as_module(
    graph: ir.Graph, held: Mapping[str, Any], state: Mapping[str, Any], sizes: Mapping[str, int], device: Any
) -> Any:
    """The graph as an FX module for these sizes: takes inputs, then state; gives outputs, then new state."""
    torch = require("torch")
    made, module = torch.fx.Graph(), torch.nn.Module()
    values = {name: made.placeholder(f"input_{number}") for number, name in enumerate((*graph.inputs, *state))}
    constants = {constant.tensor: literal_tensor(graph, constant).to(device) for constant in graph.constants}
    for number, (name, tensor) in enumerate({**held, **constants}.items()):
        if name not in state:
            module.register_buffer(f"held_{number}", tensor)
            values[name] = made.get_attr(f"held_{number}")
    for node in graph.nodes:
        _add_call(made, node, values, sizes, device)
    made.output(tuple(values[name] for name in graph.ends))
    return torch.fx.GraphModule(module, made)


def _add_call(made: Any, node: ir.Node, values: dict[str, Any], sizes: Mapping[str, int], device: Any) -> None:
    target = by_its_own_kernel(node.op, overload_of(node, device))
    kwargs = {name: _argument(value, values, sizes) for name, value in node.kwargs}
    if makes_from_nothing(target, node):
        kwargs["device"] = device
    result = made.call_function(target, tuple(_argument(value, values, sizes) for value in node.args), kwargs)
    if is_unwritten(node.op):
        result = made.call_function(require("torch").ops.aten.zeros_like.default, (result,))
    returns = target._schema.returns
    if len(returns) == 1 and str(returns[0].type) == "Tensor":
        values[node.outputs[0]] = result
        return
    for number, name in enumerate(node.outputs):
        values[name] = made.call_function(operator.getitem, (result, number))


def _argument(value: ir.Argument, values: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
    match value:
        case ir.Ref(name):
            return values[name]
        case ir.Sym(expression):
            return evaluate(expression, sizes)
        case ir.Enum(space, name):
            return framework_constant(space, name)
        case tuple():
            return [_argument(item, values, sizes) for item in value]
        case _:
            return value
