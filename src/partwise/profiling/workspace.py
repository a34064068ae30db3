"""Memory that an engine's kernels take beside the values: the torch engine's on an x86 CPU.

Convolutions: oneDNN computes them on blocks of 16 channels. It copies argument and weights into blocks, computes a
blocked result, lets go of the copies, and copies the result back, all of it in torch's allocator.
Source: measured with torch 2.13 (oneDNN 3.12) on AVX-512, allocation by allocation; `tests/e2e/test_memory.py`
compares the peaks. When oneDNN is used: ATen/native/Convolution.cpp, `ConvParams::use_mkldnn`.
Products in bfloat16: oneDNN packs and adds up in scratch memory of torch's allocator (`workspace_product`).
Experts: the loop over them (`partwise.kernels.experts`) holds the intermediate rows of one while it makes those of the
next. How many rows an expert gets is up to the data; counted is the most: all tokens meet the same experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from partwise.ir import DType, Format, Graph, Kind, operator
from partwise.ir.operators import Call
from partwise.profiling.products import products
from partwise.profiling.workspace_product import product_scratch_bytes

__all__ = ["workspaces"]

_BLOCK = 16  # channels: the float32 lanes of AVX-512
_PLAIN_CHANNELS = 3  # an image is read as it lies
_SMALL = 20480  # elements; a single smaller image is convolved without oneDNN
_FLOAT_BYTES = 4


def workspaces(graph: Graph, bindings: Mapping[str, int], threads: int = 1) -> dict[int, int]:
    """Bytes that a node's kernel takes beside its result at its highest; nodes without are absent.

    Args:
        graph: the graph; only torch graphs have known workspaces.
        bindings: a value for each symbol.
        threads: of the engine; strided 1×1 convolutions gather their pixels once a thread.
    """
    if graph.format is not Format.TORCH:
        return {}
    found = {index: _workspace(Call(node, graph.spec, bindings), threads) for index, node in enumerate(graph.nodes)}
    return {index: size for index, size in found.items() if size}


def _workspace(call: Call, threads: int) -> int:
    match operator(call.node.op).kind:
        case Kind.CONV if "transpose" not in call.node.op:
            return _convolution(call, threads)
        case Kind.MATMUL:
            return _scratch(call, threads)
        case Kind.EXPERTS:
            return _experts(call)
        case _:
            return 0


def _scratch(call: Call, threads: int) -> int:
    """Of a product in bfloat16; those of other types are computed where they lie."""
    row, dtype = operator(call.node.op), call.spec[call.node.outputs[0]].dtype
    if dtype is not DType.BFLOAT16 or row.macs is None:
        return 0
    found = products(row.kind, call, row.macs(call))
    return max((product_scratch_bytes(product, threads) for product in found), default=0)


def _experts(call: Call) -> int:
    """Rows of an expert: raised, gated and lowered of one, taken and raised of the next."""
    (tokens, hidden), chosen, result = call.shape(0), call.shape(1)[-1], call.tensor(0)
    raised, inner = (prod(call.shape(place)[1:]) // hidden for place in (3, 4))
    bits = result.dtype.bits if result else 0
    before = raised + inner + hidden if chosen > 1 else 0
    return tokens * (before + hidden + raised) * bits // 8


def _convolution(call: Call, threads: int) -> int:
    source, weight, result = call.shape(0), call.shape(1), call.out()
    first = call.tensor(0)
    if len(source) < 3 or first is None or first.dtype is not DType.FLOAT32 or call.argument(6) is True:
        return 0
    groups = source[1] // weight[1]
    if groups == 1 and source[0] == 1 and prod(source) <= _SMALL:
        return 0
    copied = 0 if source[1] <= _PLAIN_CHANNELS else _blocked(source)
    weights = prod(weight[2:]) * _FLOAT_BYTES
    weights *= _round(weight[0]) if groups > 1 else _round(weight[0]) * (weight[1] if not copied else _round(weight[1]))
    blocked, plain = _blocked(result), prod(result) * _FLOAT_BYTES
    strided = prod(weight[2:]) == 1 and prod(source[2:]) > prod(result[2:])
    gathered = threads * _blocked((1, source[1], *result[2:])) if strided else 0
    return max(copied + weights + gathered + blocked - plain, blocked)


def _blocked(shape: tuple[int, ...]) -> int:
    return shape[0] * _round(shape[1]) * prod(shape[2:]) * _FLOAT_BYTES


def _round(channels: int) -> int:
    return -(-channels // _BLOCK) * _BLOCK
