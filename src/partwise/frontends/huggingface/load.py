"""Load a checkpoint into its class: every tensor that the class has, or an error that names what is missing."""

from __future__ import annotations

import copy
import logging
import tempfile
from pathlib import Path
from typing import Any

from partwise.errors import ModelError
from partwise.extras import require
from partwise.frontends.huggingface.config import ModelConfig
from partwise.frontends.huggingface.quantized import dequantizer
from partwise.frontends.huggingface.quiet import quiet
from partwise.frontends.weights.checkpoint import GGUF_NAME, Checkpoint, FileKind, link_files
from partwise.frontends.weights.convert import converted

__all__ = ["load_module"]

_LOG = logging.getLogger(__name__)
_SHOWN = 5
_ALIGNMENT = 64
"""Bytes: a cache line (measured: docs/capture.md)."""


def load_module(kind: Any, source: ModelConfig, dtype: str, checkpoint: Checkpoint) -> Any:
    """A module in eval mode with all its weights.

    Args:
        kind: a class of transformers.
        source: its config.
        dtype: type to hold the weights in.
        checkpoint: their files.

    Raises:
        ModelError: a tensor is missing or of another shape, or the checkpoint is quantized beyond reading.
        UnsafeFileError: a pickle that would run code.
    """
    settings = {} if source.quantization is None else {"quantization_config": dequantizer(source)}
    with tempfile.TemporaryDirectory(prefix="partwise-") as folder, converted(checkpoint) as plain, quiet():
        link_files(plain, Path(folder))
        if plain.kind is FileKind.GGUF:
            settings["gguf_file"] = GGUF_NAME
        module, info = _read(kind, source, dtype, folder, settings)
    _check_whole(kind, source.subject, info)
    _own_memory(module)
    return module.eval()


def _read(kind: Any, source: ModelConfig, dtype: str, folder: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    """What transformers makes of a staged folder, and its account of what was missing."""
    config = copy.deepcopy(source.config)
    if settings and "gguf_file" not in settings:
        config.quantization_config = source.quantization
    try:
        return kind.from_pretrained(
            folder,
            config=config,
            dtype=getattr(require("torch"), dtype),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that the account names them
            generation_config=require("transformers").GenerationConfig(),  # else it looks for files that are not staged
            **settings,
        )
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ModelError(source.subject, f"transformers cannot load it: {text}") from error


def _check_whole(kind: Any, subject: str, info: dict[str, Any]) -> None:
    """Never weights made up at random: everything that the class has was in the checkpoint."""
    missing, unread = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    mismatched = [f"{name} {tuple(got)} for {tuple(want)}" for name, got, want in sorted(info["mismatched_keys"])]
    if mismatched:
        raise ModelError(subject, f"its weights do not fit {kind.__name__}: {_some(mismatched)}",
                         hint="does config.json belong to these weights?")  # fmt: skip
    if missing:
        beside = f"; it holds {_some(unread)} instead" if unread else ""
        raise ModelError(subject, f"its weights lack {_some(missing)}, which {kind.__name__} has{beside}",
                         hint="does config.json belong to these weights, and name the right class?")  # fmt: skip
    if info.get("error_msgs"):
        raise ModelError(subject, f"transformers cannot load it: {str(info['error_msgs'][0])[:300]}")
    if unread:
        _LOG.warning("%s: tensors that %s does not have are not read: %s", subject, kind.__name__, _some(unread))


def _own_memory(module: Any) -> None:
    """Off the mapped file where a tensor lies there between cache lines: that changes the last bits of results."""
    for value in (*module.parameters(), *module.buffers()):
        if value.data_ptr() % _ALIGNMENT:
            value.data = value.data.clone()


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:_SHOWN]) + more
