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
from partwise.frontends.applicable import (
    EXPORTED,
    FUNCTION,
    HUGGINGFACE,
    ONNX,
    SAVED,
    WEIGHTS,
    Kind,
    refuse_other_options,
)
from partwise.frontends.source import CaptureOptions, Source, as_captured
from partwise.frontends.unknown import unknown
from partwise.frontends.zoo import is_zoo_name
from partwise.ir import Graph

__all__ = ["open_model", "takes"]

_EXPORTED = "torch.export.save(program, 'model.pt2') makes a file that can be captured; program.module() a module."
_SAVED_GRAPH = b'"partwise.graph/'
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[A-Za-z0-9][\w./-]*)?\Z")
"""`org/model[@revision]`, as the hub itself allows names."""
_WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")


def open_model(model: Any, options: CaptureOptions | None = None, *, captured: Graph | None = None) -> Source:
    """Any model as a source.

    Args:
        model: an `nn.Module`; a source, which is returned as it is; or a path or name: an ONNX file, a Hugging
            Face folder or hub name, a file of weights, a `.pt2`, a saved graph, `package.module:function`, or a name of
            the zoo (`partwise.frontends.zoo`).
        options: how to capture it.
        captured: a graph that it was captured as, and is to be again: its settings come before `options`.

    Raises:
        ModelError: nothing of this kind, or not enough to build it.
        InputError: an option that does not apply to this kind.
    """
    if isinstance(model, Source):
        return model
    asked = options or CaptureOptions()
    options = asked if captured is None else as_captured(captured, asked)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        refuse_other_options(type(model).__name__, FUNCTION, asked)
        return _opener("partwise.frontends.function:open_module")(model, options)
    if not isinstance(model, str | os.PathLike):
        hint = _EXPORTED if type(model).__name__ == "ExportedProgram" else ""
        raise ModelError(type(model).__name__, "is no model", expected="an nn.Module, or a path or name", hint=hint)
    name = os.fspath(cast("str | os.PathLike[str]", model))
    kind, target = _format(name)
    refuse_other_options(name, kind, asked)
    if options.cache is not None and target.startswith(_WITHOUT_CACHE):
        raise ModelError(name, "cannot be captured with a cache", expected="a language model of transformers")
    return _opener(target)(name, options)


def takes(model: str, option: str) -> bool:
    """Whether a field of `CaptureOptions` applies to the model of a path or name.

    Raises:
        ModelError: nothing of this kind.
    """
    return option in _format(model)[0].takes


def _format(name: str) -> tuple[Kind, str]:
    """What a path or name is, and the function that opens it."""
    try:
        for matches, kind, target in _FORMATS:
            if matches(name, Path(name)):
                return kind, target
        raise unknown(name)
    except OSError as error:  # a name too long, a folder that may not be entered
        raise ModelError(name[:200], f"cannot be looked at ({error.strerror})") from None


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
_FORMATS: tuple[tuple[Callable[[str, Path], bool], Kind, str], ...] = (
    (lambda _, path: _is_file(path, ".onnx"), ONNX, "partwise.frontends.onnx.model:OnnxModel"),
    (lambda _, path: (path / "config.json").is_file(), HUGGINGFACE, f"{_HUGGINGFACE}.folder:open_folder"),
    (lambda _, path: path.name == "config.json" and _is_file(path, ".json"), HUGGINGFACE,
     f"{_HUGGINGFACE}.folder:open_config"),
    (_is_saved_graph, SAVED, "partwise.frontends.saved:open_saved"),
    (lambda _, path: _is_file(path, ".pt2"), EXPORTED, "partwise.frontends.pt2.model:open_pt2"),
    (lambda _, path: _is_file(path, ".gguf"), HUGGINGFACE, f"{_HUGGINGFACE}.gguf:open_gguf"),
    (lambda _, path: _is_file(path, *_WEIGHTS), WEIGHTS, "partwise.frontends.state_dict:open_state_dict"),
    (_is_function, FUNCTION, "partwise.frontends.function:open_function"),
    (is_zoo_name, HUGGINGFACE, "partwise.frontends.zoo:open_zoo"),
    (_is_hub_name, HUGGINGFACE, f"{_HUGGINGFACE}.hub:open_hub"),
)  # fmt: skip
