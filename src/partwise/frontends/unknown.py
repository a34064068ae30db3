"""Why something is no model: each wrong turn of `open_model` with what was expected and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from partwise.errors import ModelError
from partwise.frontends.untrusted import as_dict

__all__ = ["unknown"]

_KNOWN = "an ONNX file, a Hugging Face folder or hub name, weights with --config or --module, .pt2, or module:function"
_ADAPTER = "merge the adapter into its base model first (peft: model.merge_and_unload().save_pretrained(...))."
_PIPELINE = "a diffusers pipeline holds several models; name one of its folders, such as unet/ or text_encoder/."
_FOLDERS = {
    "manifest.json": "it is a package already; `partwise run` takes it.",
    "adapter_config.json": _ADAPTER,
    "model_index.json": _PIPELINE,
    "saved_model.pb": "convert the TensorFlow model to ONNX first (tf2onnx).",
    "params.json": "convert it first with transformers' convert_*_weights_to_hf script.",
}


def unknown(name: str) -> ModelError:
    """The error for a name or path that no frontend opens."""
    path = Path(name)
    if path.is_dir():
        return _folder(name, path)
    if path.is_file() and path.stat().st_size == 0:
        return ModelError(name, "is empty (0 bytes)", expected=_KNOWN, hint="was it downloaded or copied whole?")
    if path.is_file():
        return _file(name, path)
    return _missing(name, path)


def _folder(name: str, path: Path) -> ModelError:
    hint = next((hint for file, hint in _FOLDERS.items() if (path / file).is_file()), "")
    hint = hint or f"it holds {_listing(path)}; save with model.save_pretrained(folder), or name a file in it."
    return ModelError(name, "is a folder without config.json", expected="a Hugging Face folder", hint=hint)


def _listing(path: Path) -> str:
    names = sorted(entry.name for entry in path.iterdir())
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing"


def _file(name: str, path: Path) -> ModelError:
    if path.suffix.lower() == ".json":
        return ModelError(name, "is JSON, but no saved graph and no config.json", expected=_KNOWN, got=_keys(path))
    return ModelError(name, f"has a suffix `{path.suffix}` that no frontend reads", expected=_KNOWN,
                      hint="weights alone end in .safetensors, .pt, .pth, .bin, .pkl or .ckpt.")  # fmt: skip


def _keys(path: Path) -> str:
    try:
        data: Any = json.loads(path.read_bytes()[: 1 << 20])
    except (ValueError, RecursionError):
        return "text that does not parse"
    return f"an object with {', '.join(sorted(data)[:6])}" if as_dict(data) else type(data).__name__


def _missing(name: str, path: Path) -> ModelError:
    if ":" in name and not path.suffix:
        return ModelError(name, "is no `package.module:function`", expected="Python names on both sides of one colon")
    parent = path.parent
    if path.suffix or parent.exists() or name.startswith((".", "/", "~")):
        near = f"the folder {parent} holds {_listing(parent)}." if parent.is_dir() else f"{parent} does not exist."
        return ModelError(name, "does not exist", expected=_KNOWN, hint=near)
    return ModelError(name, "is neither a path nor a name", expected=_KNOWN, hint="is the path right?")
