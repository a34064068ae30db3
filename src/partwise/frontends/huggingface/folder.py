"""A Hugging Face folder as a source: captured on fake tensors from its config alone, weights read when asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import partwise.ir as ir
from partwise.errors import ModelError
from partwise.extras import require
from partwise.frontends.source import CaptureOptions
from partwise.frontends.torch.model import TorchModel, capture_module

__all__ = ["HuggingFaceFolder", "open_folder"]


def open_folder(path: str, options: CaptureOptions) -> HuggingFaceFolder:
    """A folder with a `config.json`."""
    return HuggingFaceFolder(Path(path), options)


class HuggingFaceFolder:
    """A folder with a config and, perhaps, safetensors."""

    def __init__(self, path: Path, options: CaptureOptions) -> None:
        transformers = require("transformers")
        self._path, self._options = path, options
        self._config = transformers.AutoConfig.from_pretrained(path)
        self._config.use_cache = False
        self._loaded: TorchModel | None = None

    def capture(self) -> ir.Graph:
        """The graph, without reading a weight."""
        torch, fake = require("torch"), require("torch._subclasses")
        shapes = require("torch.fx.experimental.symbolic_shapes")
        with fake.FakeTensorMode(shape_env=shapes.ShapeEnv(), allow_non_fake_inputs=True):
            module = self._class()(self._config).eval()
            if dtype := self._dtype():
                module = module.to(getattr(torch, dtype))
            inputs = self._example_inputs()
            return capture_module(module, inputs, static=self._options.static, name=type(module).__name__)

    def weights(self, graph: ir.Graph) -> Mapping[str, np.ndarray]:
        """The graph's weights, read from the folder."""
        return self._load().weights(graph)

    def reference(self, graph: ir.Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The eager module's own answer."""
        return self._load().reference(graph, inputs)

    def _load(self) -> TorchModel:
        if self._loaded is None:
            torch = require("torch")
            dtype = getattr(torch, self._dtype() or "float32")
            module = self._class().from_pretrained(self._path, config=self._config, dtype=dtype)
            self._loaded = TorchModel(module.eval(), self._options)
        return self._loaded

    def _class(self) -> Any:
        names = self._config.architectures or []
        found = getattr(require("transformers"), names[0], None) if names else None
        if found is None:
            raise ModelError(str(self._path), "its config names no architecture that transformers knows", got=names)
        return found

    def _dtype(self) -> str | None:
        stated = self._options.dtype or getattr(self._config, "dtype", None)
        return None if stated is None else str(stated).removeprefix("torch.")

    def _example_inputs(self) -> dict[str, Any]:
        torch = require("torch")
        batch, sequence = self._options.batch or 2, self._options.sequence or 16
        ids = torch.zeros(batch, sequence, dtype=torch.int64)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
