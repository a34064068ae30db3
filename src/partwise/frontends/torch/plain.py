"""Kernels that eager torch takes in place of the operators in a graph, and the model without them.

They compute the same in another order: the last bits differ, 1e-7 of the largest value in float32, 1e-3 in bfloat16.
So a model is compared with its graph by the operators that both have, and the graph says which kernels these are not.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from partwise.extras import require
from partwise.frontends.torch.experts import expert_layers, experts_run_by

__all__ = ["by_its_operators", "other_kernels"]

_EXPERTS = "eager"
"""The implementation of transformers whose bits `partwise.kernels` gives."""
_FUSED: Mapping[str, str] = {
    "TransformerEncoderLayer": "aten._transformer_encoder_layer_fwd",
    "MultiheadAttention": "aten._native_multi_head_attention",
}
"""Classes of `torch.nn` with a fast path in eval mode, and its operator, most inclusive first."""


@contextmanager
def by_its_operators(module: Any) -> Generator[None]:
    """While this lasts, the module computes by the operators that its graph has."""
    fused = require("torch.backends.mha")
    before, frozen = fused.get_fastpath_enabled(), [p for p in module.parameters() if not p.requires_grad]
    with experts_run_by(expert_layers(module).values(), _EXPERTS):
        try:
            fused.set_fastpath_enabled(False)
            for parameter in frozen:  # as the torch engine holds them, which says why
                parameter.requires_grad_(parameter.is_floating_point())
            yield
        finally:
            fused.set_fastpath_enabled(before)
            for parameter in frozen:
                parameter.requires_grad_(False)


def other_kernels(module: Any) -> tuple[str, ...]:
    """A note on each kind of kernel that the module may take by itself and its graph does not have."""
    notes = list[str]()
    if layers := expert_layers(module):
        notes.append(f"{_named(list(layers))}: `partwise::experts` has the bits of transformers' `{_EXPERTS}` experts; "
                     "its other kernels differ in the last bits")  # fmt: skip
    nn, paths = require("torch.nn"), dict(module.named_modules())
    for kind, operator in _FUSED.items():
        if found := [path for path, part in paths.items() if isinstance(part, getattr(nn, kind))]:
            notes.append(f"{_named(found)}: the graph has the operators of {kind}; eager torch may run "
                         f"`{operator}` in their place, which differs in the last bits")  # fmt: skip
            break
    if gaps := [name for name, value in _held(module) if _has_gaps(value)]:
        notes.append(f"{_named(gaps)}: lies in the model with gaps between its elements, in the graph without; "
                     "a kernel may take another path for it, which differs in the last bits")  # fmt: skip
    return tuple(notes)


def _held(module: Any) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _has_gaps(value: Any) -> bool:
    """Whether no order of dims lays the elements out one after the other; what is expanded counts as such."""
    if value.layout is not require("torch").strided:
        return False
    dims = sorted(zip(value.stride(), value.shape, strict=True))
    expected = 1
    for stride, size in dims:
        if size != 1 and stride != expected:
            return value.numel() > 0
        expected *= size
    return False


def _named(paths: list[str]) -> str:
    return f"`{paths[0] or 'the model'}`" + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
