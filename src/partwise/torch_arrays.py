"""torch tensors and numpy arrays as two views of the same memory, the types numpy lacks included."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from partwise.errors import EngineError
from partwise.extras import require

__all__ = ["from_numpy", "refuse_default_type", "to_numpy"]

_SAME_BITS = {
    "bfloat16": "int16",
    "float8_e4m3fn": "uint8",
    "float8_e4m3fnuz": "uint8",
    "float8_e5m2": "uint8",
    "float8_e5m2fnuz": "uint8",
}


def refuse_default_type(dtype: Any) -> None:
    """Raise unless torch makes float32 where a model's code names no type: its graph, run in another process, would
    compute in another type.

    Raises:
        EngineError: the default was changed in this process.
    """
    if dtype is not require("torch").float32:
        hint = "torch.set_default_dtype(torch.float32), and give the module its type by module.to(...)."
        raise EngineError("torch's default dtype", "was changed", expected="torch.float32", got=dtype, hint=hint)


def to_numpy(tensor: Any) -> np.ndarray:
    """A CPU tensor's memory as an array; strides are kept, nothing is copied.

    A tensor that is the conjugate or the negative of its memory, which numpy cannot say, is computed.
    """
    torch = require("torch")

    name, tensor = str(tensor.dtype).removeprefix("torch."), tensor.resolve_conj().resolve_neg()
    if name not in _SAME_BITS:
        return tensor.numpy()
    return tensor.view(getattr(torch, _SAME_BITS[name])).numpy().view(getattr(ml_dtypes, name))


def from_numpy(array: np.ndarray) -> Any:
    """An array's memory as a CPU tensor; strides are kept, nothing is copied.

    A read-only array must not be written through the result.
    """
    import warnings

    torch = require("torch")

    name = array.dtype.name
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        if name not in _SAME_BITS:
            return torch.from_numpy(array)
        return torch.from_numpy(array.view(_SAME_BITS[name])).view(getattr(torch, name))
