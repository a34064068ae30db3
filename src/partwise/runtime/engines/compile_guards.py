"""What compiled code must not be trusted with: arguments that do not fit, places that data name, unwritten memory.

Eager kernels look at each call's arguments (`torch_guards` at those that they believe); a compiler checks a program
once, by its own rules, and the code that it makes believes all of it. So, before a segment is compiled for some sizes,
it is run eagerly at them, guarded: whatever follows from sizes and literals has then been looked at, argument by
argument, by the kernels themselves. What depends on values is looked at in each call: operators whose places in memory
are named by data, and divisions that can end a process, stay torch's own kernels behind their guards, which the
compiled program calls. Results that nobody writes are zeros.

**Source**: torch 2.13's inductor on a CPU; `tests/attacks/test_compiled_kernels.py` has the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from partwise.extras import require
from partwise.runtime.engines.torch_guards import UNWRITTEN, guarded, refusing

__all__ = ["before_compilation", "by_its_own_kernel", "is_unwritten"]

_LIBRARY = "partwise_kernels"

_BY_VALUES = frozenset(
    f"aten.{name}"
    for name in """
cross_entropy_loss.default div.Scalar_mode div.Tensor_mode embedding.default embedding_bag.padding_idx
floor_divide.Scalar floor_divide.default fmod.Scalar fmod.Tensor gather.default grid_sampler.default
grid_sampler_2d.default grid_sampler_3d.default histc.default index.Tensor index_add.default index_copy.default
index_fill.int_Scalar index_fill.int_Tensor index_put.default index_reduce.default index_select.default
isin.Scalar_Tensor isin.Tensor_Scalar isin.Tensor_Tensor masked_scatter.default max_unpool2d.default
max_unpool3d.default nanquantile.default nanquantile.scalar nll_loss_forward.default nll_loss_nd.default
one_hot.default put.default quantile.default quantile.scalar remainder.Scalar remainder.Scalar_Tensor remainder.Tensor
scatter.reduce scatter.src scatter.value scatter.value_reduce scatter_add.default scatter_reduce.two
searchsorted.Tensor take.default take_along_dim.default
""".split()
)
"""Operators that read or write where values say, or divide integers (by zero, the lowest by -1: SIGFPE)."""


def before_compilation(name: str, target: Any) -> Any:
    """An operator as it is called when a segment is tried out before it is compiled.

    Args:
        name: its row's in the operator table.
        target: the overload.
    """
    check = _ONLY_COMPILED.get(name)
    return guarded(name, target) if check is None else refusing(name, target, check)


def is_unwritten(name: str) -> bool:
    """Whether an operator's result is memory as it was left."""
    return name in UNWRITTEN


@cache
def by_its_own_kernel(name: str, target: Any) -> Any:
    """The overload that a compiled program calls: for operators that depend on values one that the compiler does not
    see through, which is torch's own kernel behind its guard.

    Args:
        name: its row's in the operator table.
        target: the overload.
    """
    if name not in _BY_VALUES:
        return target
    torch = require("torch")
    ours = name.removeprefix("aten.").replace(".", "_")
    _, _, signature = str(target._schema).partition("(")
    library = _library()
    library.define(f"{ours}({signature}", tags=(torch.Tag.pt2_compliant_tag,))
    library.impl(ours, guarded(name, target), "CompositeExplicitAutograd")
    torch.library.register_fake(f"{_LIBRARY}::{ours}", target, lib=library)
    return getattr(getattr(torch.ops, _LIBRARY), ours).default


@cache
def _library() -> Any:
    return require("torch").library.Library(_LIBRARY, "FRAGMENT")


def _as_strided(input: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> bool:
    """Within the elements of a dense value: what else lies in its memory, the compiler decides."""
    last = (storage_offset or 0) + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    dense = input.is_contiguous() and input.storage_offset() == 0
    return dense and (0 in size or 0 <= last < input.numel())


def _as_strided_scatter(
    input: Any, src: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> bool:
    del src
    return _as_strided(input, size, stride, storage_offset)


_ONLY_COMPILED: dict[str, Callable[..., bool]] = {
    "aten.as_strided.default": _as_strided,
    "aten.as_strided_scatter.default": _as_strided_scatter,
}
