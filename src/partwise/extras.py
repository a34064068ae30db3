"""Optional dependencies: imported when first used, and one error with the pip line where one is missing."""

from __future__ import annotations

import importlib
from typing import Any

from partwise.errors import MissingExtraError

__all__ = ["require"]

_EXTRAS = {
    "torch": "torch",
    "transformers": "torch",
    "safetensors": "torch",
    "huggingface_hub": "torch",
    "onnx": "onnx",
    "onnx_ir": "onnx",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "ortools": "solvers",
    "ezkl": "zk",
    "ray": "ray",
    "zmq": "ray",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "opentelemetry": "telemetry",
}


def require(module: str) -> Any:
    """A module of an optional dependency.

    Args:
        module: dotted name; its first part is in the table above.

    Raises:
        MissingExtraError: it is not installed.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        extra = _EXTRAS[package]
        raise MissingExtraError(f"`{package}`", "is not installed", hint=f"pip install 'partwise[{extra}]'") from None
