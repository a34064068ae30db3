"""Multiply-accumulate counts, one function an operator shape.

Source: the definition of each operator; a contraction's count is outputs × length of the contraction.
The totals equal the published figures of five vision models (tests/e2e/test_torch_costs.py) to all digits.
"""

from __future__ import annotations

from math import prod

from partwise.ir.operators.row import Call

__all__ = [
    "addmm",
    "attention",
    "bilinear",
    "cell",
    "chain",
    "convolution",
    "distances",
    "einsum",
    "experts",
    "kept_sizes",
    "linear",
    "matmul",
    "outer",
    "recurrence",
    "tensordot",
    "time_first_convolution",
    "transposed_convolution",
    "vector_products",
]


def linear(call: Call) -> int:
    """x [.., K] × weight [N, K] -> [.., N]."""
    return prod(call.out()) * call.shape(1)[-1]


def bilinear(call: Call) -> int:
    """a [.., K], b [.., L], weight [N, K, L] -> [.., N]."""
    return prod(call.out()) * prod(call.shape(2)[1:])


def matmul(call: Call) -> int:
    """a [.., M, K] @ b [.., K, N], vectors and batches included."""
    return prod(call.out()) * call.shape(0)[-1]


def addmm(call: Call) -> int:
    """bias + a [.., M, K] @ b [.., K, N]; addmv, addbmm and baddbmm alike."""
    a = call.shape(1)
    summed = a[0] if len(a) == 3 and len(call.out()) == 2 else 1  # addbmm sums over its batch
    return prod(call.out()) * a[-1] * summed


def outer(call: Call) -> int:
    """a [M] × b [N] -> [M, N]; a Kronecker product alike."""
    return prod(call.out())


def tensordot(call: Call) -> int:
    """a, b and the dims of each that are summed: every element of a meets all of b's that are not."""
    a, b, dims = call.shape(0), call.shape(1), call.argument(3)
    summed = {call.integer(dim, 0) % len(b) for dim in dims} if isinstance(dims, tuple) else set[int]()
    return prod(a) * prod(size for dim, size in enumerate(b) if dim not in summed)


def chain(call: Call) -> int:
    """Matrices multiplied in the order that takes the least; a vector may stand at either end.

    Source: Cormen et al., "Introduction to Algorithms", matrix-chain multiplication, which torch solves too
    (`aten/src/ATen/native/LinearAlgebra.cpp`, `linalg_multi_dot`).
    """
    operands = call.argument(0)
    shapes = [call.shape_of(operand) for operand in operands] if isinstance(operands, tuple) else []
    if len(shapes) < 2:
        return 0
    sizes = [shapes[0][0] if len(shapes[0]) == 2 else 1, *(shape[0] for shape in shapes[1:])]
    sizes.append(shapes[-1][1] if len(shapes[-1]) == 2 else 1)
    least = {(i, i): 0 for i in range(len(shapes))}
    for span in range(1, len(shapes)):
        for i in range(len(shapes) - span):
            j = i + span
            least[i, j] = min(
                least[i, k] + least[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)
            )
    return least[0, len(shapes) - 1]


def vector_products(call: Call) -> int:
    """x [.., K] · y [.., K] -> [..], broadcast; `dim` says where K stands."""
    x, dim = call.shape(0), call.node.keyword("dim", -1)
    return prod(call.out()) * x[call.integer(dim, -1)]


def time_first_convolution(call: Call) -> int:
    """x [T, N, C], weight [kernel, C, O] -> [T', N, O]."""
    return prod(call.out()) * prod(call.shape(1)[:2])


def distances(call: Call) -> int:
    """a [.., P, K], b [.., R, K] (or a alone): each pair meets K times, whatever the norm."""
    return prod(call.out()) * call.shape(0)[-1]


def convolution(call: Call) -> int:
    """x [N, C, ...], weight [O, C/groups, *kernel]: each output meets C/groups × kernel elements.

    `aten.convolution` says in its seventh argument whether it is transposed.
    """
    if call.argument(6) is True:
        return transposed_convolution(call)
    return prod(call.out()) * prod(call.shape(1)[1:])


def transposed_convolution(call: Call) -> int:
    """x [N, C, ...], weight [C, O/groups, *kernel]: each input is spread over O/groups × kernel outputs."""
    return prod(call.shape(0)) * prod(call.shape(1)[1:])


def attention(call: Call) -> int:
    """query [.., L, E], key [.., S, E], value [.., S, Ev]: QKᵀ and ·V, no discount for a causal mask."""
    query, key, value = call.shape(0), call.shape(1), call.shape(2)
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def einsum(call: Call) -> int:
    """Operands contracted from left to right: each product takes the sizes of all labels that it meets.

    Source: numpy.einsum_path's definition of a pairwise contraction; torch contracts in this order too.
    """
    equation, operands = call.argument(0), call.argument(1)
    if not isinstance(equation, str) or not isinstance(operands, tuple):
        return 0
    left, _, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    shapes = [call.shape_of(operand) for operand in operands]
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, size in _labelled(term, shape):
            sizes[label] = max(size, sizes.get(label, 1))  # a size of 1 is broadcast
    expanded = [[label for label, _ in _labelled(term, shape)] for term, shape in zip(terms, shapes, strict=True)]
    total, have = 0, set(expanded[0])
    for position, labels in enumerate(expanded[1:], start=1):
        met = have | set(labels)
        total += prod(sizes[label] for label in met)
        later = {label for term in expanded[position + 1 :] for label in term}
        have = {label for label in met if label in later or label in result or label.startswith(".")}
    return total


def kept_sizes(call: Call) -> tuple[int, int, int] | None:
    """Of an einsum of two operands or a tensordot the sizes that stay: of both operands, of the first, of the second.

    None for more operands, and where a size is summed in one operand alone.
    """
    if call.node.op.startswith("aten.tensordot"):
        a, b, summed = call.shape(0), call.shape(1), call.argument(3)
        depth = prod(b[call.integer(dim, 0)] for dim in summed) if isinstance(summed, tuple) else 1
        return (1, prod(a) // depth, prod(b) // depth) if depth else None
    equation, operands = call.argument(0), call.argument(1)
    if not isinstance(equation, str) or not isinstance(operands, tuple) or len(operands) != 2:
        return None
    left, arrow, result = equation.replace(" ", "").partition("->")
    pairs = zip(left.split(","), operands, strict=True)
    first, second = (dict(_labelled(term, call.shape_of(operand))) for term, operand in pairs)
    kept = {label for label in {**first, **second} if label in result or label.startswith(".")}
    if not arrow or (first.keys() ^ second.keys()) - kept:
        return None
    both = first.keys() & second.keys()
    return (
        prod(first[label] for label in both & kept),
        prod(first[label] for label in first.keys() - both),
        prod(second[label] for label in second.keys() - both),
    )


def _labelled(term: str, shape: tuple[int, ...]) -> list[tuple[str, int]]:
    """Labels of a term with their sizes; the dims of an ellipsis are numbered from the right."""
    before, dots, after = term.partition("...")
    hidden = [f".{n}" for n in range(len(shape) - len(before) - len(after), 0, -1)] if dots else []
    return list(zip([*before, *hidden, *after], shape, strict=True))


def recurrence(call: Call) -> int:
    """x [.., in], state, parameters: every step multiplies by each matrix of the parameters once.

    Source: torch.nn.LSTM, GRU and RNN; their matrices are [gates · hidden, in] and [gates · hidden, hidden].
    """
    parameters = call.argument(2)
    shapes = [call.shape_of(parameter) for parameter in parameters] if isinstance(parameters, tuple) else []
    return prod(call.shape(0)[:-1]) * sum(prod(shape) for shape in shapes if len(shape) == 2)


def cell(call: Call) -> int:
    """x [.., in], state, weights [gates · hidden, in] and [gates · hidden, hidden]: one step of `recurrence`."""
    return prod(call.shape(0)[:-1]) * (prod(call.shape(2)) + prod(call.shape(3)))


def experts(call: Call) -> int:
    """hidden [T, H], index [T, k], weights, up, down: each token meets k experts.

    up maps H to U (the gate included: U = 2·I where there is one), down maps I to H.
    """
    tokens, chosen = call.shape(1)
    up, down = call.shape(3), call.shape(4)
    return tokens * chosen * (up[-1] * up[-2] + down[-1] * down[-2])
