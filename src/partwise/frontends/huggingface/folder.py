"""A model of transformers as a source: captured on fake tensors from its config alone, weights read when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

import partwise.ir as ir
from partwise.errors import ModelError
from partwise.frontends.huggingface.build import fake_module
from partwise.frontends.huggingface.classes import model_class
from partwise.frontends.huggingface.config import ModelConfig, read_config
from partwise.frontends.huggingface.inputs import ExampleInputs, candidates
from partwise.frontends.huggingface.load import load_module
from partwise.frontends.huggingface.quantized import quantization_note
from partwise.frontends.source import CaptureOptions, with_settings
from partwise.frontends.torch.cached import capture_cached
from partwise.frontends.torch.model import TorchModel, capture_module
from partwise.frontends.weights.checkpoint import Checkpoint, find_checkpoint

__all__ = ["HuggingFaceModel", "open_config", "open_folder"]

_DTYPES = ("float16", "bfloat16", "float32", "float64")


def open_folder(path: str, options: CaptureOptions) -> HuggingFaceModel:
    """A folder with a `config.json` and, perhaps, weights."""
    folder = Path(path)
    return HuggingFaceModel(read_config(folder / "config.json", path), lambda: find_checkpoint(folder), options)


def open_config(path: str, options: CaptureOptions) -> HuggingFaceModel:
    """A `config.json` alone: a model without weights."""
    return HuggingFaceModel(read_config(Path(path)), lambda: None, options)


class HuggingFaceModel:
    """A config, and where its weights are."""

    def __init__(
        self, source: ModelConfig, checkpoint: Callable[[], Checkpoint | None], options: CaptureOptions
    ) -> None:
        self._source, self._checkpoint, self._options = source, checkpoint, options
        self._loaded: dict[tuple[str, str], TorchModel] = {}

    def capture(self) -> ir.Graph:
        """The graph, without reading a weight.

        Raises:
            ModelError: the config makes no model, or the model cannot be exported.
            UnsupportedOpError: an operator without a row.
        """
        kind, notes = model_class(self._source, self._options.task)
        dtype = self._dtype()
        module, mode = fake_module(kind, self._source.config, dtype)
        notes = (*quantization_note(self._source.quantization), *notes)
        settings = {"source": "huggingface", "task": kind.__name__, "dtype": dtype}
        if self._options.cache is not None:
            graph = capture_cached(module, self._options, mode)
            return with_settings(replace(graph, notes=(*notes, *graph.notes)), **settings, inputs=None)
        graph, inputs = self._capture_first(module, mode)
        notes = (*notes, *inputs.notes, *graph.notes)
        return with_settings(replace(graph, notes=notes), **settings, inputs=inputs.given, **inputs.sizes)

    def weights(self, graph: ir.Graph) -> Mapping[str, np.ndarray]:
        """The graph's weights, read from the checkpoint in the type that the graph was captured in.

        Raises:
            ModelError: there are none, or some are missing.
            StalePlanError: they do not fit the graph.
        """
        return self._load(graph).weights(graph)

    def answers(self, graph: ir.Graph, requests: Iterable[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """The eager module's own answers."""
        return self._load(graph).answers(graph, requests)

    def _dtype(self) -> str:
        dtype = self._options.dtype or self._source.dtype or "float32"
        if dtype not in _DTYPES:
            raise ModelError(f"dtype `{dtype}`", "cannot hold a model's weights", expected=" | ".join(_DTYPES))
        return dtype

    def _capture_first(self, module: Any, mode: Any) -> tuple[ir.Graph, ExampleInputs]:
        """The graph at the first set of inputs that the model takes; the first refusal where it takes none."""
        kind, static = cast(Any, type(module)), self._options.static
        refused: ModelError | None = None
        with mode:
            tried = list(candidates(kind, self._source.config, self._options))
        for inputs in tried:
            try:
                return capture_module(module, inputs.values, static=static, name=kind.__name__), inputs
            except ModelError as error:
                refused = refused or error
        assert refused is not None  # candidates() yields or raises
        raise refused

    def _load(self, graph: ir.Graph) -> TorchModel:
        settings = dict(graph.settings)
        task, dtype = settings.get("task"), settings.get("dtype")
        if not isinstance(task, str) or not isinstance(dtype, str):
            raise ModelError(self._source.subject, f"the graph of `{graph.name}` was not captured from such a model")
        if (task, dtype) not in self._loaded:
            kind, _ = model_class(self._source, task)
            self._loaded[task, dtype] = TorchModel(self._module(kind, dtype), self._options)
        return self._loaded[task, dtype]

    def _module(self, kind: Any, dtype: str) -> Any:
        checkpoint = self._checkpoint() if self._options.weights else None
        if checkpoint is None:
            wanted = self._options.weights
            why = "there are no weights" if wanted else "weights are switched off (--no-weights)"
            hint = "put model.safetensors beside config.json." if wanted else "leave --no-weights out."
            raise ModelError(self._source.subject, why, expected="a checkpoint: this step needs values", hint=hint)
        return load_module(kind, self._source, dtype, checkpoint)
