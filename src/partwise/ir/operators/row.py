"""One row of the operator table, and what its rules are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from partwise.errors import GraphError
from partwise.ir.arguments import Argument, Ref, Sym
from partwise.ir.dims import evaluate, evaluate_shape
from partwise.ir.graph import Graph, Node, TensorSpec

__all__ = ["Call", "Kind", "Operator", "Rule"]


class Kind(StrEnum):
    """What an operator does, as far as cost and cutting care."""

    MATMUL = "matmul"
    CONV = "conv"
    ATTENTION = "attention"
    EXPERTS = "experts"
    NORM = "norm"
    EMBEDDING = "embedding"
    ELEMENTWISE = "elementwise"
    REDUCTION = "reduction"
    POOL = "pool"
    MOVEMENT = "movement"
    """Copies or rearranges elements: cat, gather, pad, clone, a cast."""
    VIEW = "view"
    """Another way to see the same memory; costs nothing and never crosses a cut."""
    FACTORY = "factory"
    """Makes a value from sizes and literals alone."""
    CONTROL = "control"
    """Holds other graphs: If, Loop, Scan, a function call."""
    STATE = "state"
    """Writes into a buffer that outlives the run."""


@dataclass(frozen=True, slots=True)
class Call:
    """A node at given sizes: what a cost rule sees."""

    node: Node
    spec: Mapping[str, TensorSpec]
    bindings: Mapping[str, int]

    def tensor(self, position: int) -> TensorSpec | None:
        """The positional argument's tensor; None when it is absent or no tensor."""
        argument = self.argument(position)
        return self.spec[argument.name] if isinstance(argument, Ref) else None

    def argument(self, position: int) -> Argument:
        """The positional argument; None past the end."""
        return self.node.args[position] if position < len(self.node.args) else None

    def integer(self, value: Argument, default: int) -> int:
        """A literal or symbolic integer at these sizes."""
        if isinstance(value, Sym):
            return evaluate(value.expression, self.bindings)
        return value if isinstance(value, int) else default

    def shape(self, position: int) -> tuple[int, ...]:
        """The shape of a positional argument; () where unknown."""
        return self.shape_of(self.argument(position))

    def shape_of(self, argument: Argument) -> tuple[int, ...]:
        """The shape of an argument, wherever it stands; () where unknown, or where it is no tensor."""
        tensor = self.spec[argument.name] if isinstance(argument, Ref) else None
        return evaluate_shape(tensor.shape, self.bindings) if tensor and tensor.shape is not None else ()

    def out(self, position: int = 0) -> tuple[int, ...]:
        """The shape of an output; () where unknown."""
        shape = self.spec[self.node.outputs[position]].shape
        return evaluate_shape(shape, self.bindings) if shape is not None else ()


Rule = Callable[[Call], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A row. An operator without one is refused by name, in models and in packages."""

    name: str
    kind: Kind
    macs: Rule | None = None
    """Multiply-accumulates of one call; None for operators that have none (1 MAC = 2 FLOPs)."""
    uncounted: bool = False
    """Its arithmetic is neither multiply-accumulates nor a pass over the elements, and no rule counts it."""
    cheap: bool = False
    """Small enough beside its input that a stage may compute it again rather than receive it."""
    limit: bool = False
    """Its output's size is a literal: a package may not ask for an absurd one."""
    keeps_gaps: bool = False
    """Its output has the strides of its argument, gaps between elements included. A cut closes gaps, and they
    change which path a kernel takes: an engine closes them at once, cut or not."""

    def count_macs(self, graph: Graph, node: Node, bindings: Mapping[str, int]) -> int:
        """Multiply-accumulates of a node at the given sizes.

        Raises:
            GraphError: arguments that the operator does not take: too few, or of other ranks.
        """
        try:
            return self.macs(Call(node, graph.spec, bindings)) if self.macs else 0
        except (IndexError, KeyError, TypeError, ValueError):  # the rules are written for calls that run
            what = "has arguments that its operator does not take"
            raise GraphError(f"node `{node.name}` ({node.op})", what) from None
