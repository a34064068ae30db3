"""Arithmetic that is no contraction: what the elements of a result cost on the vector units.

It is not part of a node's FLOPs (`profiling.cost` says which are); it only keeps a device with much bandwidth and few
vector lanes, such as a CPU, from being predicted too fast.
"""

from __future__ import annotations

from partwise.ir import Kind
from partwise.profiling.cost import Cost

__all__ = ["operation", "vector_flops"]

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
    if cost.kind in (Kind.NORM, Kind.REDUCTION, Kind.POOL):
        return NORM_FLOPS * max(cost.parallelism.threads, cost.input_bytes // 4)
    return PLAIN_FLOPS * cost.parallelism.threads


def operation(cost: Cost) -> str:
    """The bare name of a node's operator: `aten._softmax.default`, `onnx.Softmax` -> `softmax`."""
    parts = cost.op.split(".")
    return (parts[1] if parts[0] == "aten" else parts[-1]).strip("_").lower()
