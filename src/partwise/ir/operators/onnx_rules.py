"""Multiply-accumulate counts of ONNX operators, one function an operator shape.

Source: the operators' definitions in onnx 1.23.2 and onnxruntime 1.31.1 (`docs/Operators.md`,
`docs/ContribOperators.md`). A fused operator counts what its parts did, so an optimizer changes no total.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import cast

from partwise.ir.arguments import Argument
from partwise.ir.operators.row import Call

__all__ = [
    "attention",
    "blocked_convolution",
    "bodies",
    "convolution",
    "distances",
    "einsum",
    "gemm",
    "group_query_attention",
    "linear_attention",
    "matmul",
    "mixture_of_experts",
    "ml_linear",
    "ml_support_vectors",
    "multi_head_attention",
    "projecting_attention",
    "quantized_convolution",
    "quantized_projecting_attention",
    "recurrent",
    "transposed_convolution",
]


def matmul(call: Call) -> int:
    """A [.., M, K] @ B [.., K, N]; the fused forms may hold A as [.., K, M] or with its batch dims after M."""
    left = call.shape(0)
    if not call.node.keyword("transA"):
        return prod(call.out()) * left[-1]
    return prod(call.out()) * (left[0] if call.node.keyword("transBatchA") else left[-2])


def gemm(call: Call) -> int:
    """A [M, K] or, with transA, [K, M]; times B."""
    return prod(call.out()) * call.shape(0)[0 if call.node.keyword("transA") else 1]


def convolution(call: Call) -> int:
    """X [N, C, ..] with W [O, C/groups, *kernel]: each output meets one slice of the weight."""
    return prod(call.out()) * prod(call.shape(1)[1:])


def quantized_convolution(call: Call) -> int:
    """QLinearConv: the weight is the fourth input."""
    return prod(call.out()) * prod(call.shape(3)[1:])


def transposed_convolution(call: Call) -> int:
    """X [N, C, ..] with W [C, O/groups, *kernel]: each input meets one slice of the weight."""
    return prod(call.shape(0)) * prod(call.shape(1)[1:])


def blocked_convolution(call: Call) -> int:
    """A convolution whose channels are rounded up to the CPU's block; counted without the padding.

    `@channels` is what the capture knows of the original: (outputs, inputs of a group).
    """
    channels = call.node.keyword("@channels")
    if not isinstance(channels, tuple):
        return convolution(call)
    out, (made, read) = call.out(), (call.integer(channel, 1) for channel in channels)
    return out[0] * prod(out[2:]) * made * read * prod(call.shape(1)[2:])


def recurrent(call: Call) -> int:
    """X [steps, batch, I], W [directions, gates·H, I], R [directions, gates·H, H]: each step meets all weights."""
    return prod(call.shape(0)[:2]) * (prod(call.shape(1)) + prod(call.shape(2)))


def attention(call: Call) -> int:
    """Q [B, heads, S, E], K [B, ., T, E], V [B, ., T, Ev]; or rank 3 with heads in the last dim: QKᵀ and ·V."""
    query, key, value = call.shape(0), call.shape(1), call.shape(2)
    past = call.shape(4)
    length = key[-2] + (past[-2] if past else 0)
    if len(query) == 4:
        return prod(query[:-1]) * length * (query[-1] + value[-1])
    groups = _attribute(call, "q_num_heads", 1) // _attribute(call, "kv_num_heads", 1)
    return prod(query[:-1]) * length * (query[-1] + value[-1] * groups)


def multi_head_attention(call: Call) -> int:
    """com.microsoft: query [B, S, D], or all three packed as [B, S, heads, 3, d]; key and value of rank 3 to 5."""
    query, key, value, past = (call.shape(position) for position in (0, 1, 2, 6))
    if len(query) == 5:
        width = query[2] * query[4]
        return query[0] * query[1] * (query[1] + (past[-2] if past else 0)) * 2 * width
    width = query[-1]
    if len(key) == 5:  # key and value packed: [B, T, heads, 2, d]
        return prod(query[:2]) * key[1] * 2 * width
    values = value[1] * value[3] if len(value) == 4 else value[-1]
    length = key[2] if len(key) == 4 else key[1]
    return prod(query[:2]) * (length + (past[-2] if past else 0)) * (width + values)


def group_query_attention(call: Call) -> int:
    """com.microsoft: query [B, S, D] (or q, k and v packed), past [B, heads, P, d], output [B, S, D]."""
    query, past, out = call.shape(0), call.shape(3), call.out()
    length = query[1] + (past[-2] if past else 0)
    return prod(query[:2]) * length * 2 * out[-1]


def linear_attention(call: Call) -> int:
    """q [B, T, heads·dk], v [B, T, kv_heads·dv]: qᵀS a head; k⊗v a kv head, and Sᵀk where the rule is a delta."""
    query, value = call.shape(0), call.shape(2)
    heads, kv_heads = _attribute(call, "q_num_heads", 1), _attribute(call, "kv_num_heads", 1)
    state = (query[-1] // heads) * (value[-1] // kv_heads)
    updates = 2 if "delta" in str(call.node.keyword("update_rule", "gated_delta")) else 1
    return prod(query[:2]) * state * (heads + kv_heads * updates)


def projecting_attention(call: Call) -> int:
    """com.microsoft.Attention: input [B, S, I] @ weights [I, q+k+v], then attention over past and present."""
    return _projecting(call, call.shape(4))


def quantized_projecting_attention(call: Call) -> int:
    """com.microsoft.QAttention: the same; the past is the ninth input."""
    return _projecting(call, call.shape(8))


def _projecting(call: Call, past: tuple[int, ...]) -> int:
    (batch, length, inputs), total = call.shape(0), call.shape(1)[1]
    sizes = call.node.keyword("qkv_hidden_sizes") or (total // 3,) * 3
    query, _, value = (call.integer(size, 0) for size in cast(tuple[Argument, ...], sizes))
    seen = length + (past[-2] if past else 0)
    return batch * length * (inputs * total + seen * (query + value))


def mixture_of_experts(call: Call) -> int:
    """com.microsoft.MoE: tokens [.., H]; each meets k of the experts' two or three matrices [experts, .., ..]."""
    weights = sum(prod(call.shape(position)[1:]) for position in (2, 4, 6) if call.tensor(position))
    return prod(call.shape(0)[:-1]) * _attribute(call, "k", 1) * weights


def distances(call: Call) -> int:
    """com.microsoft.CDist: A [M, K] with B [N, K], all pairs."""
    return prod(call.out()) * call.shape(0)[-1]


def ml_linear(call: Call) -> int:
    """ai.onnx.ml: x [.., F] with the coefficients of every class or target."""
    return prod(call.shape(0)[:-1]) * _length(call, "coefficients")


def ml_support_vectors(call: Call) -> int:
    """ai.onnx.ml: x [.., F] with every support vector, or with the coefficients of a linear machine."""
    return prod(call.shape(0)[:-1]) * (_length(call, "support_vectors") or _length(call, "coefficients"))


def einsum(call: Call) -> int:
    """Operands from left to right: each step multiplies over all letters of the two that meet.

    One operand alone is a reduction, with no product.
    """
    equation = str(call.node.keyword("equation")).replace(" ", "")
    terms = [_letters(term) for term in equation.partition("->")[0].split(",")]
    shapes = [call.shape(position) for position in range(len(terms))]
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, size in _sizes(term, shape).items():
            sizes[letter] = max(size, sizes.get(letter, 1))
    kept = _letters(equation.partition("->")[2]) if "->" in equation else _implicit(terms)
    total, left = 0, set(terms[0])
    for position, term in enumerate(terms[1:], start=1):
        total += prod(sizes[letter] for letter in left | set(term))
        later = set(kept).union(*terms[position + 1 :])
        left = (left | set(term)) & later
    return total


def bodies(call: Call) -> int:
    """If: the dearer branch. Loop, Scan: the body times the trips, where they are known, else once.

    A body is (("graph",), captured values, multiply-accumulates, ONNX bytes), as the capture writes it.
    """
    held = [value for _, value in call.node.kwargs if isinstance(value, tuple) and value[:1] == (("graph",),)]
    counts = [call.integer(body[2], 0) for body in held]
    return call.integer(call.node.keyword("@trips"), 1) * max(counts, default=0)


def _letters(term: str) -> list[str]:
    """The indices of a term; the ellipsis counts as one of its own."""
    return list(term.replace("...", "."))


def _sizes(term: list[str], shape: tuple[int, ...]) -> dict[str, int]:
    if "." not in term:
        return dict(zip(term, shape, strict=False))
    start = term.index(".")
    covered = len(shape) - (len(term) - 1)
    middle = {".": prod(shape[start : start + covered])}
    return dict(zip(term[:start], shape, strict=False)) | middle | _sizes(term[start + 1 :], shape[start + covered :])


def _implicit(terms: list[list[str]]) -> list[str]:
    """Without an arrow the result has the letters that occur once."""
    counts = Counter(letter for term in terms for letter in term)
    return [letter for letter, number in counts.items() if number == 1 or letter == "."]


def _attribute(call: Call, name: str, default: int) -> int:
    return call.integer(call.node.keyword(name), default)


def _length(call: Call, name: str) -> int:
    values = call.node.keyword(name)
    return len(values) if isinstance(values, tuple) else 0
