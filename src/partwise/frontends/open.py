"""Find out what a model is, and open it with the frontend for it.

The table is static: a test of the name or path, then the function that opens it, first match first. Nothing of
a frontend is imported before its row is chosen, and what matches no row is explained by `partwise.frontends.unknown`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from partwise.errors import ModelError
from partwise.frontends.source import CaptureOptions, Source
from partwise.frontends.unknown import unknown
from partwise.frontends.zoo import is_zoo_name

__all__ = ["open_model"]

_EXPORTED = "torch.export.save(program, 'model.pt2') makes a file that can be captured; program.module() a module."
_SAVED_GRAPH = b'"partwise.graph/'
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[A-Za-z0-9][\w./-]*)?\Z")
"""`org/model[@revision]`, as the hub itself allows names."""
_WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")


def open_model(model: Any, options: CaptureOptions | None = None) -> Source:
    """Any model as a source.

    Args:
        model: an `nn.Module`; a source, which is returned as it is; or a path or name: an ONNX file, a Hugging
            Face folder or hub name, a file of weights, a `.pt2`, a saved graph, `package.module:function`, or a name of
            the zoo (`partwise.frontends.zoo`).
        options: how to capture it.

    Raises:
        ModelError: nothing of this kind, or not enough to build it.
    """
    if isinstance(model, Source):
        return model
    options = options or CaptureOptions()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        return _opener("partwise.frontends.function:open_module")(model, options)
    if not isinstance(model, str | os.PathLike):
        hint = _EXPORTED if type(model).__name__ == "ExportedProgram" else ""
        raise ModelError(type(model).__name__, "is no model", expected="an nn.Module, or a path or name", hint=hint)
    name = os.fspath(cast("str | os.PathLike[str]", model))
    for matches, target in _FORMATS:
        if matches(name, Path(name)):
            if options.cache is not None and target.startswith(_WITHOUT_CACHE):
                raise ModelError(name, "cannot be captured with a cache", expected="a language model of transformers")
            return _opener(target)(name, options)
    raise unknown(name)


def _opener(target: str) -> Callable[..., Source]:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _is_file(path: Path, *suffixes: str) -> bool:
    """A file with something in it, and one of the suffixes."""
    return path.suffix.lower() in suffixes and path.is_file() and path.stat().st_size > 0


def _is_saved_graph(_: str, path: Path) -> bool:
    if not _is_file(path, ".json"):
        return False
    with path.open("rb") as file:
        return any(_SAVED_GRAPH in piece for piece in _pieces(file.read))


def _pieces(read: Callable[[int], bytes], size: int = 1 << 20) -> Any:
    """A file's bytes in pieces that overlap, so that nothing sought lies across a border."""
    tail = b""
    while piece := read(size):
        yield tail + piece
        tail = piece[-len(_SAVED_GRAPH) :]


def _is_function(name: str, path: Path) -> bool:
    return _FUNCTION.match(name) is not None and not path.exists()


def _is_hub_name(name: str, path: Path) -> bool:
    """A name, and no path to a file or folder that is missing."""
    files = (*_WEIGHTS, ".onnx", ".pt2", ".gguf", ".json")
    return _HUB_NAME.match(name) is not None and not path.parent.exists() and path.suffix.lower() not in files


_WITHOUT_CACHE = ("partwise.frontends.onnx", "partwise.frontends.pt2")
"""Frontends that read graphs which were made before."""
_HUGGINGFACE = "partwise.frontends.huggingface"
_FORMATS: tuple[tuple[Callable[[str, Path], bool], str], ...] = (
    (lambda _, path: _is_file(path, ".onnx"), "partwise.frontends.onnx.model:OnnxModel"),
    (lambda _, path: (path / "config.json").is_file(), f"{_HUGGINGFACE}.folder:open_folder"),
    (lambda _, path: path.name == "config.json" and _is_file(path, ".json"), f"{_HUGGINGFACE}.folder:open_config"),
    (_is_saved_graph, "partwise.frontends.saved:open_saved"),
    (lambda _, path: _is_file(path, ".pt2"), "partwise.frontends.pt2.model:open_pt2"),
    (lambda _, path: _is_file(path, ".gguf"), f"{_HUGGINGFACE}.gguf:open_gguf"),
    (lambda _, path: _is_file(path, *_WEIGHTS), "partwise.frontends.state_dict:open_state_dict"),
    (_is_function, "partwise.frontends.function:open_function"),
    (is_zoo_name, "partwise.frontends.zoo:open_zoo"),
    (_is_hub_name, f"{_HUGGINGFACE}.hub:open_hub"),
)
