"""Multiply-accumulate counts, one function an operator shape.

Source: the definition of each operator; a contraction's count is outputs × length of the contraction.
The totals equal the published figures of five vision models (docs/accuracy of counts) to all digits.
"""

from __future__ import annotations

from math import prod

from partwise.ir.operators.row import Call

__all__ = ["addmm", "attention", "bmm", "convolution", "experts", "linear", "matmul"]


def linear(call: Call) -> int:
    """x [.., K] × weight [N, K] -> [.., N]."""
    return prod(call.out()) * call.shape(1)[-1]


def matmul(call: Call) -> int:
    """a [.., M, K] @ b [.., K, N], vectors included."""
    return prod(call.out()) * call.shape(0)[-1]


def bmm(call: Call) -> int:
    """a [B, M, K] @ b [B, K, N]."""
    return prod(call.out()) * call.shape(0)[-1]


def addmm(call: Call) -> int:
    """bias + a [M, K] @ b [K, N]; baddbmm and addmv alike."""
    return prod(call.out()) * call.shape(1)[-1]


def convolution(call: Call) -> int:
    """x [N, C, ...], weight [O, C/groups, *kernel]; transposed: weight [C, O/groups, *kernel].

    A plain convolution multiplies each output by C/groups × kernel elements, which is one slice of the
    weight; a transposed one spreads each input over O/groups × kernel outputs: again one slice.
    """
    kernel = prod(call.shape(1)[1:])
    transposed = call.argument(6) is True
    return prod(call.shape(0) if transposed else call.out()) * kernel


def attention(call: Call) -> int:
    """query [.., L, E], key [.., S, E], value [.., S, Ev]: QKᵀ and ·V, no discount for a causal mask."""
    query, key, value = call.shape(0), call.shape(1), call.shape(2)
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def experts(call: Call) -> int:
    """hidden [T, H], index [T, k], weights, up, down: each token meets k experts.

    up maps H to U (the gate included: U = 2·I where there is one), down maps I to H.
    """
    tokens, chosen = call.shape(1)
    up, down = call.shape(3), call.shape(4)
    return tokens * chosen * (up[-1] * up[-2] + down[-1] * down[-2])
