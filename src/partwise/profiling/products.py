"""Contractions as batched matrix products, and how much of a node can run at once.

The multiply-accumulates of a node are counted by its row in the operator table; here they get the shape that decides
how they fill a device: `batch` products of [rows, depth] × [depth, columns]. A convolution is the product of its
patches with its weight (im2col; Chellapilla et al., 2006), a group of it one product; attention is two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from partwise.hardware import Product
from partwise.ir import Kind
from partwise.ir.operators import Call
from partwise.ir.operators.rules import kept_sizes

__all__ = ["Parallelism", "parallelism", "products"]

_PAIRS = frozenset({"aten.einsum.default", "aten.tensordot.default"})
"""Products whose dims are not in the order of a matrix product."""


@dataclass(frozen=True, slots=True)
class Parallelism:
    """Result elements, which can all be computed at once, by what they are."""

    batch: int = 1
    channels: int = 1
    spatial: int = 1
    """Pixels, tokens or pairs of tokens."""

    @property
    def threads(self) -> int:
        """One for each element of the result."""
        return self.batch * self.channels * self.spatial


def parallelism(kind: Kind, shape: Sequence[int]) -> Parallelism:
    """How the elements of a result divide.

    Args:
        kind: of the node.
        shape: of its first result; [N, C, ..] for pictures and attention's pairs, [N, .., C] for rows of features.
    """
    if not shape:
        return Parallelism()
    if len(shape) <= 2:
        return Parallelism(prod(shape[:-1]), shape[-1])
    if kind in (Kind.CONV, Kind.POOL) or (len(shape) > 3 and kind is not Kind.ATTENTION):
        return Parallelism(shape[0], shape[1], prod(shape[2:]))
    heads = shape[1] if len(shape) > 3 else 1
    return Parallelism(shape[0], heads * shape[-1], prod(shape[1:-1]) // heads)


def products(kind: Kind, call: Call, macs: int) -> tuple[Product, ...]:
    """The matrix products of a node.

    Args:
        kind: of the node.
        call: the node at given sizes.
        macs: its multiply-accumulates, which the products have in all wherever their shape is exact.
    """
    out = tuple(call.out()) or (1,)  # a scalar product has one element
    if not macs or not prod(out):
        return ()
    exact = _RULES.get(kind, _unknown)(call, out, macs)
    return exact if sum(product.macs for product in exact) == macs else _unknown(call, out, macs)


def _matmul(call: Call, out: Sequence[int], macs: int) -> tuple[Product, ...]:
    """A weight is shared by all rows; a second operand with a batch of its own makes as many products."""
    if call.node.op in _PAIRS:
        return _pair(call, macs)
    depth = macs // prod(out)
    ranks = [len(shape) for position in (1, 2) if (shape := call.shape(position))]
    if len(out) > 2 and max(ranks, default=0) > 2:
        return (Product(prod(out[:-2]), out[-2], out[-1], depth),)
    return (Product(1, prod(out[:-1]), out[-1], depth),)


def _pair(call: Call, macs: int) -> tuple[Product, ...]:
    """Two operands by their dims: those of both that stay are the batch, those of one the rows or the columns."""
    batch, rows, columns = kept_sizes(call) or (1, 0, 0)
    return (Product(batch, rows, columns, macs // (batch * rows * columns)),) if rows * columns else ()


def _convolution(call: Call, out: Sequence[int], macs: int) -> tuple[Product, ...]:
    """x [N, C, ..], weight [O, C/groups, *kernel]; a transposed one is a product before its patches are summed."""
    x, weight = call.shape(0), call.shape(1)
    if len(x) < 3 or len(weight) != len(x):
        return ()
    rows = out[0] * prod(out[2:])
    depth = prod(weight[1:])
    if macs == prod(out) * depth and x[1] % weight[1] == 0:
        groups = x[1] // weight[1]
        return (Product(groups, rows, out[1] // groups, depth),)
    rows = x[0] * prod(x[2:])
    return (Product(1, rows, macs // (rows * x[1]), x[1]),)


def _attention(call: Call, out: Sequence[int], macs: int) -> tuple[Product, ...]:
    """Query [.., L, E] with key [.., S, E], the result with value [.., S, Ev]."""
    del out, macs
    query, key, value = (call.shape(position) for position in range(3))
    if min(len(query), len(key), len(value)) < 3:
        return ()
    batch, length, seen = prod(query[:-2]), query[-2], key[-2]
    return (Product(batch, length, seen, query[-1]), Product(batch, length, value[-1], seen))


def _experts(call: Call, out: Sequence[int], macs: int) -> tuple[Product, ...]:
    """Rows divide among the experts that are met; each expert has two or three matrices."""
    del out, macs
    (tokens, chosen), up, down = call.shape(1), call.shape(3), call.shape(4)
    met = min(up[0], tokens * chosen)
    if tokens * chosen % met:
        met = 1
    rows = tokens * chosen // met
    return (Product(met, rows, up[-2], up[-1]), Product(met, rows, down[-2], down[-1]))


def _unknown(call: Call, out: Sequence[int], macs: int) -> tuple[Product, ...]:
    """One product over all elements of the result."""
    del call
    return (Product(1, prod(out[:-1]), out[-1], max(1, macs // prod(out))),)


_RULES = {
    Kind.MATMUL: _matmul,
    Kind.CONV: _convolution,
    Kind.ATTENTION: _attention,
    Kind.EXPERTS: _experts,
}
