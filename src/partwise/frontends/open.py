"""Find out what a model is, and open it with the frontend for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from partwise.errors import ModelError
from partwise.frontends.source import CaptureOptions, Source

__all__ = ["open_model"]


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
        from partwise.frontends.torch.model import TorchModel

        return TorchModel(model, options)
    path = Path(str(model))
    if (path / "config.json").is_file():
        from partwise.frontends.huggingface.folder import open_folder

        return open_folder(path, options)
    raise ModelError(str(model), "is no model that Partwise knows")
