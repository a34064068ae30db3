"""Arithmetic that is no contraction: what the elements of a result cost on the vector units.

It is not part of a node's FLOPs (`profiling.cost` says which are); it only keeps a device with much bandwidth and few
vector lanes, such as a CPU, from being predicted too fast.
"""

from __future__ import annotations

from collections.abc import Mapping

from partwise.hardware import Device, DeviceKind
from partwise.ir import Kind
from partwise.profiling.cost import Cost

__all__ = ["layout_bytes", "operation", "packing_bytes", "reread_bytes", "vector_flops", "vector_share"]

_TRANSCENDENTAL = frozenset(
    """acos acosh asin asinh atan atan2 atanh biasgelu biassoftmax celu cos cosh elu erf erfc exp exp2 expm1 fastgelu
    gelu log log10 log1p log2 log_sigmoid log_softmax logsoftmax logsumexp mish quickgelu selu sigmoid silu sin sinh
    softmax softplus special_expit swiglu swish tan tanh""".split()
)
TRANSCENDENTAL_FLOPS = 20
"""An element of exp, tanh, erf and what is made of them. Source: Cephes' `expf`, a range reduction and a polynomial of
degree 6, about 20 operations (Moshier, 1992), as in the vector libraries of Eigen, onnxruntime's MLAS and SLEEF."""
NORM_FLOPS = 8
"""An element of a norm or a reduction: two passes for the moments and one to scale; counted from the definition."""
_BATCH_NORMS = frozenset("batch_norm batchnormalization native_batch_norm_legit_no_training".split())
"""Their moments are given at inference: one pass scales."""
_MAX_POOLS = ("max_pool", "maxpool")
_SOFTMAXES = frozenset("softmax log_softmax logsoftmax biassoftmax".split())
SOFTMAX_PERSISTENT = 1024
SOFTMAX_THREADS, NORM_ROWS = 1024, 16
"""Threads of a softmax's row, and rows that a multiprocessor normalizes at once."""
SOFTMAX_CACHE_SHARE, NORM_CACHE_SHARE = 0.3, 0.4
"""Of the cache that rows under way may take and still be there for the second read. These and the two above are read
off the published softmaxes and layer norms of NeuSight (ASPLOS 2025): where a further read begins to show."""
PLAIN_FLOPS = 2
"""An element of any other operator; counted from the definitions of add, mul and relu."""


def vector_flops(cost: Cost) -> int:
    """Operations on the vector units of a node.

    Args:
        cost: of the node; its elements are those of its first result or, for what reduces, of what it reads.
    """
    if cost.products or not cost.traffic_bytes or cost.kind in (Kind.EMBEDDING, Kind.MOVEMENT, Kind.FACTORY):
        return 0
    if operation(cost) in _TRANSCENDENTAL:
        return TRANSCENDENTAL_FLOPS * cost.parallelism.threads
    if cost.kind in (Kind.NORM, Kind.REDUCTION, Kind.POOL) and operation(cost) not in _BATCH_NORMS:
        return NORM_FLOPS * max(cost.parallelism.threads, cost.input_bytes // 4)
    return PLAIN_FLOPS * cost.parallelism.threads


def vector_share(cost: Cost, shares: Mapping[str, float]) -> float:
    """The share of the vector units' rate that a node's passes reach.

    Args:
        cost: of the node.
        shares: `Device.efficiency`; that of the operator's own name goes first, as libraries' functions differ.
    """
    scaled = cost.kind is Kind.NORM and operation(cost) not in _BATCH_NORMS
    name = "max_pool" if operation(cost).startswith(_MAX_POOLS) else operation(cost)
    names = (name, "norm" if scaled else "vector", "vector")
    return next((shares[name] for name in names if name in shares), 1.0)


def layout_bytes(cost: Cost) -> int:
    """Bytes read and written by a convolution that lays argument and result out in blocks of channels and back.

    Source: oneDNN, developer guide, "Understanding Memory Formats"; `profiling.workspace` has the memory that it takes.
    """
    return 2 * (cost.traffic_bytes - cost.weight_bytes) if cost.kind is Kind.CONV else 0


def packing_bytes(cost: Cost) -> int:
    """Bytes read and written by a convolution that lays its weight out in blocks of channels, at each call. Source: as
    `layout_bytes`."""
    return 2 * cost.weight_bytes if cost.kind is Kind.CONV else 0


def reread_bytes(cost: Cost, device: Device) -> int:
    """Bytes that a kernel of rows reads again because it needs a row's statistics first.

    A layer norm reads its rows twice, a softmax of more than 1,024 columns three times; what the rows under way take of
    the cache need not come from memory again. Source: PyTorch 2.1, `aten/src/ATen/native/cuda/layer_norm_kernel.cu`
    (`RowwiseMoments`, then the scaling) and `SoftMax.cu` (persistent up to 1,024, else maximum, sum, result).

    Args:
        cost: of the node.
        device: a GPU; other kinds keep a row in a core's own cache.
    """
    again = 1 if cost.kind is Kind.NORM else 2 if operation(cost) in _SOFTMAXES else 0
    columns = cost.row_elements
    if device.kind is not DeviceKind.GPU or not again or (again == 2 and columns <= SOFTMAX_PERSISTENT):
        return 0
    rows, share = NORM_ROWS, NORM_CACHE_SHARE
    if again == 2:
        rows, share = max(1, (device.threads or SOFTMAX_THREADS) // SOFTMAX_THREADS), SOFTMAX_CACHE_SHARE
    under_way = rows * (device.units or 1) * columns * 4
    return 0 if under_way < share * (device.cache_bytes or 0) else again * cost.input_bytes


def operation(cost: Cost) -> str:
    """The bare name of a node's operator: `aten._softmax.default`, `onnx.Softmax` -> `softmax`."""
    parts = cost.op.split(".")
    return (parts[1] if parts[0] == "aten" else parts[-1]).strip("_").lower()
