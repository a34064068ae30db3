"""A segment's graph as a list of torch calls: no code is generated, and a value is let go after its last use.

Only operators of the operator table are looked up, by their exact overload; a file can name nothing else.
Everything that a call is given (values, weights, literals, sizes) has a slot in one list, so that a run is: fill
the slots of inputs and sizes, then call after call.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import partwise.ir as ir
from partwise.errors import EngineError
from partwise.extras import require
from partwise.ir.arguments import references
from partwise.ir.dims import evaluate
from partwise.packaging.arrays import from_bytes
from partwise.runtime.engines.engine import NodeObserver
from partwise.runtime.engines.torch_guards import guarded
from partwise.torch_arrays import from_numpy

__all__ = ["TorchProgram", "framework_constant", "literal_tensor", "makes_from_nothing", "overload_of"]

_VIEW = "aten.view.default"


@dataclass(frozen=True, slots=True)
class _List:
    """An argument that is a list: the slots of its items, and its own."""

    slot: int
    items: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One operator."""

    name: str
    target: Any
    args: tuple[int, ...]
    kwargs: tuple[tuple[str, int], ...]
    lists: tuple[_List, ...]
    """Lists that hold tensors or sizes, inner ones first; a list of literals is a literal."""
    several: bool
    """Whether it returns a sequence of tensors."""
    keeps_gaps: bool
    outputs: tuple[int, ...]
    dead: tuple[int, ...]
    """Slots that nothing reads after this call."""


class TorchProgram:
    """Calls of torch operators, made from a graph once and run many times."""

    def __init__(
        self,
        graph: ir.Graph,
        weights: Mapping[str, Any],
        device: Any = "cpu",
        guard: Callable[[str, Any], Any] = guarded,
    ) -> None:
        """Make the calls.

        Args:
            graph: from anywhere, screened.
            weights: tensors by name.
            device: where it computes.
            guard: of an operator's name and overload, what is called.
        """
        slots = _Slots(graph, weights, device, guard)
        calls = [slots.call(node) for node in graph.nodes]
        self._filled, self._sizes = slots.filled, slots.sizes
        self._inputs = tuple(slots.named[name] for name in graph.inputs)
        self._results = tuple(slots.named[output.tensor] for output in graph.outputs)
        self._kept = tuple((slots.named[m.target], slots.named[m.tensor]) for m in graph.kept)
        self._calls = _with_deaths(calls, keep={*self._results, *(slot for _, slot in self._kept)}, made=slots.made)

    def run(self, inputs: list[Any], sizes: Mapping[str, int], observe: NodeObserver | None = None) -> list[Any]:
        """The graph's outputs, in order.

        Args:
            inputs: tensors, in the order of the graph's inputs; the list is emptied, so that a value whose owner
                has let go of it dies with its last use.
            sizes: a value for each symbol.
            observe: called after each operator with its node's name, start and end [s].
        """
        values = self._start(inputs, sizes)
        for call in self._calls:
            if observe is None:
                _perform(call, values)
                continue
            start = time.monotonic()
            _perform(call, values)
            observe(call.name, start, time.monotonic())
        results = [values[slot] for slot in self._results]
        for target, slot in self._kept:
            self._filled[target] = values[slot].clone()
        return results

    def _start(self, inputs: list[Any], sizes: Mapping[str, int]) -> list[Any]:
        """The slots before the first call; only they hold the inputs then."""
        values = self._filled.copy()
        for slot, expression in self._sizes:
            values[slot] = evaluate(expression, sizes)
        for slot, value in zip(self._inputs, inputs, strict=True):
            values[slot] = value
        inputs.clear()
        return values


def _perform(call: _Call, values: list[Any]) -> None:
    for item in call.lists:
        values[item.slot] = [values[slot] for slot in item.items]
    result = call.target(*[values[slot] for slot in call.args], **{name: values[slot] for name, slot in call.kwargs})
    if not call.several:
        values[call.outputs[0]] = _without_gaps(result) if call.keeps_gaps else result
    else:
        if len(result) != len(call.outputs):
            raise EngineError(call.name, "gives another number of values", expected=len(call.outputs), got=len(result))
        for slot, value in zip(call.outputs, result, strict=True):
            values[slot] = value
        result = None
    for slot in call.dead:
        values[slot] = None


def _without_gaps(value: Any) -> Any:
    """The same elements in the same order of dims, next to each other."""
    order = sorted(range(value.dim()), key=lambda dim: -value.stride(dim))
    return value.permute(order).contiguous().permute(sorted(range(value.dim()), key=order.__getitem__))


def _with_deaths(calls: Sequence[_Call], keep: set[int], made: set[int]) -> tuple[_Call, ...]:
    """The calls, each with the slots that die after it: made or received here, and neither read later nor kept."""
    alive, finished = set(keep), list[_Call]()
    for call in reversed(calls):
        touched = {*call.args, *call.outputs, *(slot for _, slot in call.kwargs)}
        touched |= {slot for item in call.lists for slot in (*item.items, item.slot)}
        finished.append(replace(call, dead=tuple(sorted((touched & made) - alive))))
        alive |= touched
    return tuple(reversed(finished))


class _Slots:
    """Gives every value a slot while the calls are made."""

    def __init__(
        self, graph: ir.Graph, weights: Mapping[str, Any], device: Any, guard: Callable[[str, Any], Any]
    ) -> None:
        self._device, self._guard = device, guard
        self.filled: list[Any] = []
        """What stands in the slots before a run: weights and literals."""
        self.named: dict[str, int] = {}
        self.made: set[int] = set()
        """Slots of inputs and results, which are let go."""
        self.sizes: list[tuple[int, str]] = []
        literals = {constant.tensor: literal_tensor(graph, constant).to(device) for constant in graph.constants}
        held = {**weights, **literals}
        for name in (*(w.tensor for w in graph.weights), *(c.tensor for c in graph.constants)):
            self.named[name] = self._slot(held[name])
        for name in graph.inputs:
            self.named[name] = self._slot(None, made=True)

    def call(self, node: ir.Node) -> _Call:
        target, lists = overload_of(node, self._device), list[_List]()
        args = tuple(self._argument(value, lists) for value in node.args)
        kwargs = tuple((name, self._argument(value, lists)) for name, value in node.kwargs)
        if makes_from_nothing(target, node):
            kwargs += (("device", self._slot(self._device)),)
        outputs = tuple(self._slot(None, made=True) for _ in node.outputs)
        self.named.update(zip(node.outputs, outputs, strict=True))
        returns = target._schema.returns
        several = len(returns) != 1 or str(returns[0].type) != "Tensor"
        return _Call(
            name=node.name,
            target=self._guard(node.op, target),
            args=args,
            kwargs=kwargs,
            lists=tuple(lists),
            several=several,
            keeps_gaps=ir.operator(node.op).keeps_gaps,
            outputs=outputs,
            dead=(),
        )

    def _argument(self, value: ir.Argument, lists: list[_List]) -> int:
        match value:
            case ir.Ref(name):
                return self.named[name]
            case ir.Sym(expression):
                return self._size(expression)
            case ir.Enum(space, name):
                return self._slot(framework_constant(space, name))
            case tuple() if any(isinstance(item, ir.Ref | ir.Sym | ir.Enum | tuple) for item in value):
                items = tuple(self._argument(item, lists) for item in value)
                lists.append(_List(self._slot(None, made=True), items))
                return lists[-1].slot
            case tuple():
                return self._slot(list(value))
            case _:
                return self._slot(value)

    def _size(self, expression: str) -> int:
        key = f"size {expression}"  # no tensor's name holds a space before its first dot
        if key not in self.named:
            self.named[key] = self._slot(None)
            self.sizes.append((self.named[key], expression))
        return self.named[key]

    def _slot(self, value: Any, *, made: bool = False) -> int:
        self.filled.append(value)
        if made:
            self.made.add(len(self.filled) - 1)
        return len(self.filled) - 1


def framework_constant(space: str, name: str) -> Any:
    """A dtype or memory format by its name; the name was checked where the graph was parsed."""
    torch = require("torch")
    value = getattr(torch, name, None)
    if not isinstance(value, getattr(torch, space)):
        raise EngineError(f"`{name}`", f"is no {space} of torch")
    return value


def overload_of(node: ir.Node, device: Any = "cpu") -> Any:
    """The overload that a row of the operator table names; nothing else is ever looked up."""
    row = ir.operator(node.op, node.module)
    if row.name == _VIEW and str(device) != "cpu":
        # Captured on the CPU, where attention's result lies so that it can be viewed; elsewhere it may lie otherwise.
        return require("torch").ops.aten.reshape.default
    namespace, name, overload = row.name.split(".")
    return getattr(getattr(getattr(require("torch").ops, namespace), name), overload)


def makes_from_nothing(target: Any, node: ir.Node) -> bool:
    """Whether an operator makes a tensor of no other, on a device that it must be told."""
    if any(True for value in (*node.args, *(item for _, item in node.kwargs)) for _ in references(value)):
        return False
    return any(argument.name == "device" for argument in target._schema.arguments)


def literal_tensor(graph: ir.Graph, constant: ir.Constant) -> Any:
    """A constant of the graph, on the CPU."""
    spec = graph.spec[constant.tensor]
    shape = tuple(cast(int, size) for size in spec.shape or ())
    data = base64.b64decode(constant.data)
    return from_numpy(from_bytes(data, spec.dtype, shape, tuple(range(len(shape)))))
