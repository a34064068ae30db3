"""`package.module:function` as a source: a function that returns an `nn.Module`, or one with example inputs."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from partwise.errors import ModelError
from partwise.extras import require
from partwise.frontends.source import CaptureOptions, Source, with_settings
from partwise.frontends.torch.model import TorchModel
from partwise.frontends.untrusted import as_list
from partwise.ir import Graph

__all__ = ["PretrainedModule", "build", "find_function", "open_function", "open_module"]


def open_function(name: str, options: CaptureOptions) -> Source:
    """Call the function and open the module that it returns."""
    module, inputs = build(name)
    if options.example_inputs is None:
        options = replace(options, example_inputs=inputs)
    return open_module(module, options)


def open_module(module: Any, options: CaptureOptions) -> Source:
    """An `nn.Module`; one of transformers gets example inputs from its config where none are given.

    What `torch.compile` gives is opened as the module that it wraps, whose weights it holds.
    """
    module = getattr(module, "_orig_mod", module)
    transformers = sys.modules.get("transformers")
    known = transformers is not None and isinstance(module, transformers.PreTrainedModel)
    if options.example_inputs is None and options.cache is None and known:
        return PretrainedModule(module, options)
    return TorchModel(module, options)


class PretrainedModule:
    """A module of transformers in memory, at example inputs of the sizes asked for."""

    def __init__(self, module: Any, options: CaptureOptions) -> None:
        self._module, self._options = module, options
        self._model = TorchModel(module, options)

    def capture(self) -> Graph:
        """The graph; its settings tell the sizes. Example inputs are made for it alone: cutting needs none."""
        from partwise.frontends.huggingface.inputs import example_inputs

        inputs = example_inputs(type(self._module), self._module.config, self._options)
        model = TorchModel(self._module, replace(self._options, example_inputs=inputs.values))
        return with_settings(model.capture(), **inputs.sizes)

    def weights(self, graph: Graph) -> Mapping[str, np.ndarray]:
        """The graph's weights, as the module holds them."""
        return self._model.weights(graph)

    def answers(self, graph: Graph, requests: Iterable[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """The module's own answers."""
        return self._model.answers(graph, requests)


def build(name: str) -> tuple[Any, Any]:
    """What the function returns: a module, and example inputs or None.

    Args:
        name: `package.module:function`; the working directory is importable.

    Raises:
        ModelError: it cannot be imported, is not callable without arguments, or returns something else.
    """
    returned = _call(find_function(name), name)
    pair = as_list(returned) or [returned, None]
    if len(pair) != 2 or not isinstance(pair[0], require("torch").nn.Module):
        expected, got = "an nn.Module, or (module, example inputs)", returned.__class__.__name__
        raise ModelError(name, "returned something else", expected=expected, got=got)
    return pair[0], pair[1]


def find_function(name: str) -> Callable[[], Any]:
    """Import the function; its module runs, as any import does."""
    module_name, _, function_name = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        hint = f"is {error.name} installed, or a file of the working directory?"
        raise ModelError(name, f"module `{error.name}` is not found", hint=hint) from None
    except Exception as error:
        raise ModelError(name, f"importing `{module_name}` failed: {type(error).__name__}: {error}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ModelError(name, f"`{module_name}` has no function `{function_name}`")
    return function


def _call(function: Callable[[], Any], name: str) -> Any:
    try:
        return function()
    except Exception as error:
        raise ModelError(name, f"failed: {type(error).__name__}: {error}") from error
