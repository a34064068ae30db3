"""A file of weights as a source: together with a Hugging Face config, or a function that builds the module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from partwise.errors import InputError, ModelError
from partwise.extras import require
from partwise.frontends.function import build, open_module
from partwise.frontends.huggingface.config import read_config
from partwise.frontends.huggingface.folder import HuggingFaceModel
from partwise.frontends.source import CaptureOptions, Source, with_settings
from partwise.frontends.weights.checkpoint import Checkpoint, FileKind
from partwise.frontends.weights.convert import converted
from partwise.frontends.weights.header import check_safetensors
from partwise.ir import Graph

__all__ = ["StateDictModel", "open_state_dict"]

_SHOWN = 5


def open_state_dict(path: str, options: CaptureOptions) -> Source:
    """A file of weights, with `options.config` or `options.module`.

    Raises:
        ModelError: neither is given, or both.
        InputError: a task for a module.
    """
    kind = FileKind.SAFETENSORS if path.lower().endswith(".safetensors") else FileKind.PICKLE
    checkpoint = Checkpoint(files=(Path(path),), index=None, kind=kind)
    if options.config and options.module:
        raise ModelError(path, "has both --config and --module", expected="one of them")
    if options.config:
        config = Path(options.config)
        config = config / "config.json" if config.is_dir() else config
        if not config.is_file():
            raise ModelError(options.config, "does not exist", expected="a config.json or a folder that holds one")
        return HuggingFaceModel(read_config(config), lambda: checkpoint, options)
    if options.module and options.task:
        raise InputError(path, "has --module, to which --task does not apply", hint="--config takes it.")
    if options.module:
        return StateDictModel(checkpoint, options)
    raise ModelError(path, "holds weights and no model", expected="--config or --module beside it",
                     hint=f"partwise plan --model {path} --config FOLDER (a Hugging Face config.json), or "
                          "--module package.module:function (a function that returns the nn.Module).")  # fmt: skip


class StateDictModel:
    """A module that a function builds, and the file with its weights."""

    def __init__(self, checkpoint: Checkpoint, options: CaptureOptions) -> None:
        self._checkpoint, self._options = checkpoint, options
        self._module, inputs = build(options.module or "")
        self._module.eval()
        if options.dtype:
            self._module.to(_float(options.dtype))
        if options.example_inputs is None:
            options = replace(options, example_inputs=inputs)
        self._model, self._whole = open_module(self._module, options), False

    def capture(self) -> Graph:
        """The graph of the module, without reading a weight."""
        return with_settings(self._model.capture(), dtype=self._options.dtype)

    def weights(self, graph: Graph) -> Mapping[str, np.ndarray]:
        """The graph's weights, read from the file.

        Raises:
            ModelError: a name or a shape in the file differs from the module's.
            UnsafeFileError: a pickle that would run code.
        """
        return self._load().weights(graph)

    def answers(self, graph: Graph, requests: Iterable[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """The eager module's own answers."""
        return self._load().answers(graph, requests)

    def _load(self) -> Source:
        if not self._options.weights:
            raise ModelError(str(self._checkpoint.files[0]), "weights are switched off (--no-weights)",
                             hint="leave --no-weights out.")  # fmt: skip
        if not self._whole:
            with converted(self._checkpoint) as plain:
                _fill(self._module, plain.files[0], str(self._checkpoint.files[0]))
            self._whole = True
        return self._model


def _float(name: str) -> Any:
    torch = require("torch")
    found: Any = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"dtype `{name}`", "is no floating-point type")
    return found


def _fill(module: Any, file: Path, subject: str) -> None:
    """Copy every tensor of the file to its place; none missing, none left over, none of another shape."""
    torch = require("torch")
    check_safetensors(file)
    places = module.state_dict(keep_vars=True)
    with require("safetensors").safe_open(file, framework="pt") as tensors, torch.no_grad():
        names = set(tensors.keys())
        first = {id(value): name for name, value in reversed(places.items()) if name in names}
        missing = [name for name, value in places.items() if name not in names and id(value) not in first]
        unread = sorted(names - places.keys())
        if missing or unread:
            expected, got = _some(missing, "no other name"), _some(unread, "no such name")
            hint = "does --module build the right model?"
            raise ModelError(subject, "does not belong to this module", expected=expected, got=got, hint=hint)
        for name in first.values():
            value = tensors.get_tensor(name)
            if value.shape != places[name].shape:
                raise ModelError(f"weight `{name}`", f"in {subject} has another shape than the module's",
                                 expected=tuple(places[name].shape), got=tuple(value.shape))  # fmt: skip
            places[name].copy_(value)


def _some(names: list[str], none: str) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:_SHOWN]) + more if names else none
