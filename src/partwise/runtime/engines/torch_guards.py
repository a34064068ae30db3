"""What some kernels of torch believe about their arguments without looking: looked at here, before each call.

A package's author chooses arguments. Without these checks the kernels read memory that is not theirs, into a result
or to a crash, or return memory that nobody has written. A guard takes its operator's arguments, by
the schema's names.

**Source**: torch 2.13 on a CPU, each operator of the table that takes numbers or several tensors called with lying
ones; those below crashed or gave bytes of other memory (`tests/attacks/test_kernels.py` repeats the calls).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from partwise.errors import EngineError
from partwise.extras import require

__all__ = ["UNWRITTEN", "guarded", "refusing"]

_GATES = 4  # of an LSTM


def guarded(name: str, target: Any) -> Any:
    """An operator that looks at its arguments first, if it is one that should; otherwise itself.

    Args:
        name: its row's in the operator table.
        target: the overload.
    """
    if name in UNWRITTEN:
        return _written(target)
    check = _GUARDS.get(name)
    return target if check is None else refusing(name, target, check)


def refusing(name: str, target: Any, check: Callable[..., bool]) -> Any:
    """An operator that is not called where the check of its arguments fails, or cannot be made.

    Args:
        name: its row's in the operator table.
        target: the overload.
        check: takes its arguments.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            fits = check(*args, **kwargs)
        except (TypeError, AttributeError, IndexError, ValueError):
            fits = False
        if not fits:
            raise EngineError(name, "is given arguments that do not fit each other")
        return target(*args, **kwargs)

    return call


def _written(target: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        return target(*args, **kwargs).zero_()

    return call


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> bool:
    """A value for each key; a kernel reads as many keys as there are values."""
    return query.dim() == key.dim() == value.dim() >= 2 and key.shape[-2] == value.shape[-2]


def _batch_norm(
    input: Any, weight: Any = None, bias: Any = None, running_mean: Any = None, running_var: Any = None,
    *_: Any, **__: Any,
) -> bool:  # fmt: skip
    """One number a channel, wherever there are some."""
    given = [one for one in (weight, bias, running_mean, running_var) if one is not None]
    return all(tuple(one.shape) == (input.shape[1],) for one in given)


def _batch_norm_without_statistics(input: Any, weight: Any = None, bias: Any = None, *_: Any, **__: Any) -> bool:
    return _batch_norm(input, weight, bias)


def _weight_norm(v: Any, g: Any, dim: int = 0) -> bool:
    """One length for each place of the dim that is kept."""
    return 0 <= dim < v.dim() and g.numel() == v.shape[dim]


def _division(self: Any, other: Any, *, rounding_mode: str | None = None) -> bool:
    """No lowest integer by -1, whose quotient is none: the processor's own trap ends the process."""
    torch = require("torch")
    kind = torch.result_type(self, other)
    if rounding_mode != "trunc" or kind.is_floating_point or kind.is_complex or kind is torch.bool:
        return True
    lowest, by = self == torch.iinfo(kind).min, torch.as_tensor(other == -1)
    return not (bool(by.any()) and bool((lowest & by).any()))


def _embedding_bag(weight: Any, indices: Any, offsets: Any, *_: Any, **__: Any) -> bool:
    """Bags one after the other; that none reaches beyond the indices is looked at by torch."""
    del weight
    return indices.dim() != 1 or bool((offsets[1:] >= offsets[:-1]).all())


def _grid_sampler(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool = False
) -> bool:
    """Modes that there are; for others nothing is computed, and the result's memory stays as it was."""
    del input, grid, align_corners
    return interpolation_mode in (0, 1, 2) and padding_mode in (0, 1, 2)


def _lstm(
    input: Any, hx: Sequence[Any], params: Sequence[Any], has_biases: bool, num_layers: int, dropout: float,
    train: bool, bidirectional: bool, batch_first: bool,
) -> bool:  # fmt: skip
    """States and weights of one size, for each layer and direction."""
    del dropout, train
    first, second = hx
    directions, batch = 2 if bidirectional else 1, input.shape[0 if batch_first else 1]
    shown, hidden = first.shape[2], second.shape[2]
    sets = num_layers * directions
    if input.dim() != 3 or tuple(first.shape[:2]) != (sets, batch) or tuple(second.shape[:2]) != (sets, batch):
        return False
    expected = list[tuple[int, ...]]()
    for number in range(sets):
        taken = input.shape[2] if number < directions else shown * directions
        expected += [(_GATES * hidden, taken), (_GATES * hidden, shown)]
        expected += [(_GATES * hidden,)] * 2 if has_biases else []
        expected += [(shown, hidden)] if shown != hidden else []
    return [tuple(one.shape) for one in params] == expected


_GUARDS: dict[str, Callable[..., bool]] = {
    "aten._native_batch_norm_legit.no_stats": _batch_norm_without_statistics,
    "aten._native_batch_norm_legit_no_training.default": _batch_norm,
    "aten._weight_norm.default": _weight_norm,
    "aten.div.Scalar_mode": _division,
    "aten.div.Tensor_mode": _division,
    "aten.embedding_bag.padding_idx": _embedding_bag,
    "aten.grid_sampler.default": _grid_sampler,
    "aten.grid_sampler_2d.default": _grid_sampler,
    "aten.grid_sampler_3d.default": _grid_sampler,
    "aten.lstm.input": _lstm,
    "aten.scaled_dot_product_attention.default": _attention,
}
UNWRITTEN = frozenset(
    {"aten.empty.memory_format", "aten.empty_like.default", "aten.empty_permuted.default", "aten.new_empty.default"}
)
"""Their results are memory as it was left, of this process: of another's request, maybe."""
