"""torch's devices: the CPU, CUDA, XPU (Intel GPUs) and MPS, found by name and set to full precision."""

from __future__ import annotations

from typing import Any

from partwise.errors import EngineMissingError, InputError
from partwise.extras import require
from partwise.units import whole_number

__all__ = ["DEVICES", "find_device"]

DEVICES = ("cpu", "cuda", "xpu", "mps")


def find_device(name: str) -> Any:
    """A `torch.device` that is here: `cpu`, `cuda`, `cuda:1`, `xpu`.

    Raises:
        InputError: an unknown word.
        EngineMissingError: this machine or this build of torch lacks it.
    """
    torch = require("torch")
    kind, _, number = name.partition(":")
    if kind not in DEVICES or (number and whole_number(number) is None):
        raise InputError(f"torch's device `{name}`", "is unknown", expected=", ".join(DEVICES))
    if kind == "cpu":
        return torch.device("cpu")
    module = getattr(torch, kind)
    if not module.is_available() or int(number or 0) >= module.device_count():
        raise EngineMissingError(f"torch's device `{name}`", "is not here", got=f"torch {torch.__version__}")
    if kind == "cuda":
        _keep_precision(torch)
    return torch.device(name)


def _keep_precision(torch: Any) -> None:
    """No TensorFloat-32, which convolutions take by default, and no sums in 16 bits: a float32 stays one."""
    torch.backends.fp32_precision = "ieee"
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
