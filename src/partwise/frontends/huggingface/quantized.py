"""Quantized checkpoints: read through transformers' own dequantization where that runs, else refused by name.

Capture sees the plain model in every case: the graph is that of the dequantized weights.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from partwise.errors import MissingExtraError, ModelError
from partwise.extras import require
from partwise.frontends.huggingface.config import ModelConfig

__all__ = ["dequantizer", "quantization_note"]


@dataclass(frozen=True, slots=True)
class _Method:
    config: str
    """transformers' class of its settings; it takes `dequantize=True`."""
    packages: tuple[str, ...]
    """What transformers needs for it."""


_DEQUANTIZED = {
    "fp8": _Method("FineGrainedFP8Config", ("accelerate",)),
    "gguf": _Method("GgufConfig", ("accelerate", "gguf")),
    "mxfp4": _Method("Mxfp4Config", ("accelerate",)),
    "compressed-tensors": _Method("CompressedTensorsConfig", ("accelerate", "compressed_tensors")),
}
_ADVICE = {
    "bitsandbytes": "load it with bitsandbytes and save model.dequantize()",
    "gptq": "load it with gptqmodel and save the dequantized model, or take the original checkpoint",
    "awq": "load it with gptqmodel and save the dequantized model, or take the original checkpoint",
}


def quantization_note(quantization: dict[str, Any] | None) -> tuple[str, ...]:
    """What a reader of the graph should know; nothing for a plain checkpoint."""
    if quantization is None:
        return ()
    return (f"the checkpoint is quantized ({_method(quantization)}): the graph is that of its dequantized weights",)


def dequantizer(source: ModelConfig) -> Any:
    """transformers' settings that read a quantized checkpoint as plain floats.

    Args:
        source: a config with `quantization`.

    Raises:
        ModelError: transformers cannot dequantize this kind here.
        MissingExtraError: it could, with a package that is not installed.
    """
    quantization = source.quantization or {}
    method = _method(quantization)
    if method not in _DEQUANTIZED:
        advice = _ADVICE.get(method, "dequantize it with the tool that made it, or take the original checkpoint")
        raise ModelError(source.subject, f"its weights are quantized ({method}), which is not read", hint=f"{advice}.")
    row = _DEQUANTIZED[method]
    absent = [name for name in row.packages if importlib.util.find_spec(name) is None]
    if absent:
        what = f"is needed to dequantize this checkpoint ({method}) and not installed"
        raise MissingExtraError(f"`{absent[0]}`", what, hint=f"pip install {' '.join(absent)}")
    settings = {key: value for key, value in quantization.items() if key not in ("quant_method", "dequantize")}
    try:
        return getattr(require("transformers"), row.config)(**settings, dequantize=True)
    except ImportError as error:
        raise MissingExtraError(f"`{error.name}`", f"is needed by {row.packages[-1]} and not installed",
                                hint=f"pip install {error.name}") from None  # fmt: skip
    except (TypeError, ValueError) as error:
        what = f"its quantization ({method}) is described in an unknown way: {error}"
        raise ModelError(source.subject, what) from None


def _method(quantization: dict[str, Any]) -> str:
    if quantization.get("load_in_4bit") or quantization.get("load_in_8bit"):
        return "bitsandbytes"
    return str(quantization.get("quant_method", "unknown"))[:40]
