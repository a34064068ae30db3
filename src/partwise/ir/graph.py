"""The graph: what a model computes, without its weights and without any framework.

Conventions: a node's index is its place in `Graph.nodes`, which is a topological order; a tensor is known by
its name; every tensor has one producer: a node, the caller (an input) or the source's state (a weight).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from partwise.ir.arguments import Argument, Ref, references
from partwise.ir.dims import Dim, count
from partwise.ir.dtypes import DType

__all__ = ["Constant", "Format", "Graph", "Mutation", "Node", "Output", "Symbol", "TensorSpec", "Weight"]


class Format(StrEnum):
    """Whose operators the nodes are; it decides which cutter and which engines serve the graph."""

    TORCH = "torch"
    ONNX = "onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A value between nodes: what is known of it before it exists."""

    name: str
    dtype: DType
    shape: tuple[Dim, ...] | None
    """Sizes, as ints or expressions over the graph's symbols. None where even the rank is unknown."""

    def elements(self, bindings: dict[str, int]) -> int:
        """Number of elements at the given sizes; 0 for an unknown rank."""
        return 0 if self.shape is None else count(self.shape, bindings)

    def bytes(self, bindings: dict[str, int]) -> int:
        """Bytes of a dense copy at the given sizes; 0 for an unknown rank."""
        return (self.elements(bindings) * self.dtype.bits + 7) // 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A size that a caller chooses, or that the data decide."""

    name: str
    hint: int
    """The value asked for at capture; plans and profiles use it unless told otherwise."""
    input: str | None
    """The input it is read off when the graph runs; None where only the data decide it."""
    dim: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A tensor that the model brings along: a parameter or a buffer."""

    tensor: str
    key: str
    """Its name in the source (`encoder.layer.0.weight`), by which the bytes are asked for."""
    trainable: bool
    """A parameter, and so counted in `parameters`; False for a buffer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A small literal tensor that the program itself holds; its bytes are part of the graph."""

    tensor: str
    data: str
    """Little-endian bytes in C order, base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operation."""

    op: str
    """A name of the operator table: `aten.linear.default`, `onnx.Conv`."""
    args: tuple[Argument, ...]
    """Positional arguments; an ONNX node's inputs, None for an optional one left out."""
    kwargs: tuple[tuple[str, Argument], ...] = ()
    """Keyword arguments sorted by name; an ONNX node's attributes."""
    outputs: tuple[str, ...]
    """All values the operator returns, in its order, the unused ones too."""
    module: str = ""
    """Dotted path of the module it was written in; empty at the top."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors it reads, first use first, each once; of all nodes at once: `Graph.reads`."""
        found: dict[str, None] = {}
        for argument in (*self.args, *(value for _, value in self.kwargs)):
            if isinstance(argument, Ref):
                found[argument.name] = None
            elif isinstance(argument, tuple):
                found.update(dict.fromkeys(references(argument)))
        return tuple(found)

    @property
    def name(self) -> str:
        """The node's name: that of its first output."""
        return self.outputs[0]

    def keyword(self, name: str, default: Argument = None) -> Argument:
        """A keyword argument or attribute by name."""
        return dict(self.kwargs).get(name, default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A result under the name that the model gives it."""

    name: str
    tensor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """State: after the run, `target` (an input or a weight) holds the value `tensor`."""

    target: str
    tensor: str


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A model as data. Not slotted, so that the look-up tables below are made once."""

    format: Format
    name: str
    settings: tuple[tuple[str, str | int | float | bool | None], ...]
    """How it was captured (sizes asked for, dtype, optimizer level), sorted by name: the same source and
    settings give the same graph, byte for byte."""
    symbols: tuple[Symbol, ...]
    inputs: tuple[str, ...]
    weights: tuple[Weight, ...]
    constants: tuple[Constant, ...] = ()
    outputs: tuple[Output, ...]
    mutations: tuple[Mutation, ...] = ()
    conditions: tuple[str, ...] = ()
    """What must hold of the symbols: comparisons by which the source chose the code that was captured."""
    tensors: tuple[TensorSpec, ...] = field(repr=False)
    nodes: tuple[Node, ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    """What a reader should know: a dimension that was fixed, a checkpoint that was dequantized."""

    @cached_property
    def spec(self) -> dict[str, TensorSpec]:
        """Tensor by name."""
        return {tensor.name: tensor for tensor in self.tensors}

    @cached_property
    def producer(self) -> dict[str, int]:
        """Index of the node that makes a tensor; inputs, weights and constants are absent."""
        return {name: index for index, node in enumerate(self.nodes) for name in node.outputs}

    @cached_property
    def reads(self) -> tuple[tuple[str, ...], ...]:
        """`inputs` of each node: a look-up for what asks many times."""
        return tuple(node.inputs for node in self.nodes)

    @cached_property
    def consumers(self) -> dict[str, tuple[int, ...]]:
        """Indices of the nodes that read a tensor, ascending; absent when nobody does."""
        found: dict[str, list[int]] = {}
        for index, names in enumerate(self.reads):
            for name in names:
                found.setdefault(name, []).append(index)
        return {name: tuple(indices) for name, indices in found.items()}

    @cached_property
    def held(self) -> dict[str, Weight]:
        """Weight by the name of its tensor."""
        return {weight.tensor: weight for weight in self.weights}

    @cached_property
    def ends(self) -> tuple[str, ...]:
        """What nodes compute for: the tensors of the outputs, then the next values of states."""
        return tuple(end.tensor for end in (*self.outputs, *self.mutations))

    @cached_property
    def kept(self) -> tuple[Mutation, ...]:
        """What a model itself keeps from one request to the next; a state among the inputs is the caller's to keep."""
        return tuple(mutation for mutation in self.mutations if mutation.target not in self.inputs)

    @cached_property
    def writes(self) -> dict[int, str]:
        """The states among the inputs (K/V buffers) that nodes write in place, by the node's index: such a node reads
        the state first and makes its next value."""
        states = {m.tensor: m.target for m in self.mutations if m.target in self.inputs}
        found = {self.producer[made]: target for made, target in states.items() if made in self.producer}
        return {index: target for index, target in found.items() if self.nodes[index].inputs[:1] == (target,)}

    def sizes(self, bindings: Mapping[str, int]) -> Mapping[str, int]:
        """Bytes of each tensor at the given sizes, in the order of `tensors`; worked out once for each."""
        at = tuple(sorted(bindings.items()))
        if at not in self._sizes:
            self._sizes[at] = self._sizes_at(dict(bindings))
        return self._sizes[at]

    @cached_property
    def _sizes(self) -> dict[tuple[tuple[str, int], ...], dict[str, int]]:
        return {}

    def _sizes_at(self, bindings: dict[str, int]) -> dict[str, int]:
        """Equal shapes are counted once."""
        known, found = dict[object, int](), dict[str, int]()
        for tensor in self.tensors:
            key = tensor.dtype, tensor.shape
            if key not in known:
                known[key] = tensor.bytes(bindings)
            found[tensor.name] = known[key]
        return found

    @property
    def hints(self) -> dict[str, int]:
        """The value asked for at capture of each symbol."""
        return {symbol.name: symbol.hint for symbol in self.symbols}
