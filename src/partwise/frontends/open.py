"""Find out what a model is, and open it with the frontend for it.

The table is static: a test of the path, then the function that opens it. Nothing of a frontend is imported
before its row is chosen.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from partwise.errors import ModelError
from partwise.frontends.source import CaptureOptions, Source

__all__ = ["open_model"]

Opener = Callable[[str, CaptureOptions], Source]


def open_model(model: Any, options: CaptureOptions | None = None) -> Source:
    """Any model as a source.

    Args:
        model: an `nn.Module`; or a path or name: an ONNX file, a Hugging Face folder or hub name, a file of
            weights, a `.pt2`, a saved graph, or `package.module:function`.
        options: how to capture it.

    Raises:
        ModelError: nothing of this kind, or not enough to build it.
    """
    options = options or CaptureOptions()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        return _opener("partwise.frontends.torch.model:TorchModel")(model, options)
    for matches, target in _FORMATS:
        if matches(str(model)):
            return _opener(target)(str(model), options)
    raise ModelError(str(model), "is no model that Partwise knows", expected=_KNOWN, hint="is the path right?")


def _opener(target: str) -> Callable[..., Source]:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _is_onnx(model: str) -> bool:
    return model.endswith(".onnx")


def _is_folder(model: str) -> bool:
    return (Path(model) / "config.json").is_file()


_FORMATS: tuple[tuple[Callable[[str], bool], str], ...] = (
    (_is_onnx, "partwise.frontends.onnx.model:OnnxModel"),
    (_is_folder, "partwise.frontends.huggingface.folder:open_folder"),
)
_KNOWN = "an ONNX file, a Hugging Face folder or hub name, weights with --config or --module, .pt2, or module:function"
