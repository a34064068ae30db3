"""Modules that torch.export cannot take whatever they compute, refused by name before it is tried."""

from __future__ import annotations

from typing import Any

from partwise.errors import ModelError
from partwise.extras import require

__all__ = ["refuse_unexportable"]

_QUANTIZED = "torch.ao.nn.quantized"
"""Package of eager mode's quantized layers, which hold their weights packed for a kernel."""


def refuse_unexportable(module: Any) -> None:
    """Raise where a module, or a part of it, is of a kind that has no graph of torch.export.

    Raises:
        ModelError: TorchScript, packed quantized weights, parameters without a shape; which part, and what to do.
    """
    scripted = require("torch").jit.ScriptModule
    for path, part in module.named_modules():
        subject = f"{type(module).__name__}" + (f", `{path}`" if path else "")
        if isinstance(part, scripted):
            hint = "build it without torch.jit.script and torch.jit.trace, or export it to ONNX."
            raise ModelError(subject, "is TorchScript, which torch.export does not take", hint=hint)
        if type(part).__module__.startswith(_QUANTIZED):
            hint = (
                "export the quantized model to ONNX (QuantizeLinear, DequantizeLinear), or pass the one it was made of."
            )
            what = "holds packed quantized weights, which torch.export does not take"
            raise ModelError(subject, what, got=type(part).__qualname__, hint=hint)
        if getattr(part, "has_uninitialized_params", bool)():
            hint = "call the module once on an example before it is captured."
            raise ModelError(subject, "is lazy: its parameters have no shape yet", hint=hint)
