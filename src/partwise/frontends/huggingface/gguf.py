"""A `.gguf` file as a source: its config and weights through transformers, which dequantizes."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from partwise.errors import MissingExtraError, ModelError
from partwise.extras import require
from partwise.frontends.huggingface.config import ModelConfig, from_data
from partwise.frontends.huggingface.folder import HuggingFaceModel
from partwise.frontends.source import CaptureOptions
from partwise.frontends.weights.checkpoint import Checkpoint, FileKind

__all__ = ["open_gguf"]

_PACKAGES = ("gguf", "accelerate")
_HEADS = ("MODEL_FOR_CAUSAL_LM_MAPPING", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING", "MODEL_MAPPING")


def open_gguf(path: str, options: CaptureOptions) -> HuggingFaceModel:
    """A GGUF file, with the language-model head of its architecture.

    Raises:
        MissingExtraError: what transformers reads it with is not installed.
        ModelError: no GGUF file, or an architecture that transformers does not map.
    """
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        what = "is needed to read GGUF files and not installed"
        raise MissingExtraError(f"`{absent[0]}`", what, hint=f"pip install {' '.join(absent)}")
    checkpoint = Checkpoint(files=(Path(path),), index=None, kind=FileKind.GGUF)
    return HuggingFaceModel(_read_config(Path(path)), lambda: checkpoint, options)


def _read_config(path: Path) -> ModelConfig:
    transformers = require("transformers")
    with tempfile.TemporaryDirectory(prefix="partwise-") as folder:
        (Path(folder) / path.name).symlink_to(path.resolve())
        try:
            config = transformers.AutoConfig.from_pretrained(folder, gguf_file=path.name, trust_remote_code=False)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            hint = "convert the original checkpoint, or take its safetensors."
            raise ModelError(str(path), f"is no GGUF file that transformers reads: {text}", hint=hint) from error
    data = {**config.to_dict(), "architectures": [_head(config)], "quantization_config": {"quant_method": "gguf"}}
    return from_data(data, str(path))


def _head(config: Any) -> str:
    auto = require("transformers.models.auto.modeling_auto")
    found = (getattr(auto, table).get(type(config), None) for table in _HEADS)
    kind = next((kind for kind in found if kind is not None), None)
    return getattr(kind, "__name__", type(config).__name__)
